"""scipy's callbacks may wait: five tasks at once get the numbers that one gets."""

from collections.abc import Callable

import pytest

import fibril

pytestmark = pytest.mark.natives
np = pytest.importorskip("numpy", reason="numpy has no wheel here")
integrate = pytest.importorskip("scipy.integrate", reason="scipy has no wheel here")
optimize = pytest.importorskip("scipy.optimize", reason="scipy has no wheel here")
ndimage = pytest.importorskip("scipy.ndimage", reason="scipy has no wheel here")
sparse = pytest.importorskip("scipy.sparse.linalg", reason="scipy has no wheel here")


def waits() -> None:
    fibril.sleep(0)


def ode(name: str, number: float) -> float:
    solver = integrate.ode(lambda t, y: (waits(), [number])[1]).set_integrator(name)
    solver.set_initial_value([0.0], 0)
    return float(solver.integrate(1)[0])


def eigs(number: float) -> float:
    factors = np.arange(1, 21) * (number + 1)
    operator = sparse.LinearOperator((20, 20), matvec=lambda v: (waits(), v * factors)[1])
    largest = sparse.eigsh(operator, k=2, return_eigenvectors=False).max()
    return float(largest / 20 - 1)


def parabola(number: float) -> Callable[..., float]:
    return lambda x: (waits(), float(x[0] - number) ** 2)[1]


KINDS: dict[str, Callable[[float], float]] = {
    "quad": lambda n: integrate.quad(lambda x: (waits(), x * n * 2)[1], 0, 1)[0],
    "brentq": lambda n: optimize.brentq(lambda x: (waits(), x - n)[1], -1, 20),
    "odeint": lambda n: integrate.odeint(lambda y, t: (waits(), [n])[1], [0.0], [0, 1])[-1, 0],
    "hybr": lambda n: optimize.root(lambda x: (waits(), x - n)[1], [0.5]).x[0],
    "leastsq": lambda n: optimize.leastsq(lambda x: (waits(), [x[0] - n, 0])[1], [0.5])[0][0],
    "slsqp": lambda n: optimize.fmin_slsqp(parabola(n), [0.0], iprint=0)[0],
    "cobyla": lambda n: optimize.minimize(parabola(n), [0.0], method="COBYLA").x[0],
    "lbfgs": lambda n: optimize.minimize(parabola(n), [0.0], method="L-BFGS-B").x[0],
    "tnc": lambda n: optimize.minimize(parabola(n), [0.0], method="TNC").x[0],
    "direct": lambda n: optimize.direct(parabola(n), [(0, 10)], maxfun=200).x[0],
    "vode": lambda n: ode("vode", n),
    "zvode": lambda n: ode("zvode", n),
    "dopri5": lambda n: ode("dopri5", n),
    "dop853": lambda n: ode("dop853", n),
    "LSODA": lambda n: integrate.solve_ivp(
        lambda t, y: (waits(), [n])[1], (0, 1), [0.0], method="LSODA"
    ).y[0, -1],
    "generic_filter": lambda n: ndimage.generic_filter(
        np.ones((8, 8)), lambda x: (waits(), n * 1.0)[1], 3
    )[3, 3],
    "eigsh": eigs,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_five_tasks_get_the_numbers_that_one_gets(kind: str) -> None:
    tasks = [fibril.spawn(KINDS[kind], float(number)) for number in range(5)]
    fibril.joinall(tasks)
    assert [task.get() for task in tasks] == pytest.approx(range(5), abs=0.15)


@pytest.mark.filterwarnings("ignore")
def test_different_kinds_at_once_and_in_each_other() -> None:
    def both(number: float) -> float:
        inner = KINDS["quad"](number)
        outer = integrate.quad(lambda x: (waits(), KINDS["quad"](x))[1], 0, 2)[0]
        return float(inner + outer)

    tasks = [fibril.spawn(both, float(number)) for number in range(3)]
    tasks += [fibril.spawn(KINDS[kind], 3.0) for kind in ("hybr", "vode", "odeint")]
    fibril.joinall(tasks)
    assert [task.get() for task in tasks] == pytest.approx([2, 3, 4, 3, 3, 3], abs=1e-3)
