"""Libraries that compute: numpy and scipy with threaded OpenBLAS, decimal and large integers.

OpenBLAS has single frames of 3 to 4 MiB; decimal and int recurse with the number of digits.
"""

import sys
from typing import Any

from tests.torture.work import Work, library, nested

SIZES = {120: 10, 400: 1}  # of matrices: how many tasks do it
LARGE = 1200


def is_close(result: Any, reference: Any) -> bool:
    """Threads add up in any order, so the last digits may differ."""
    import numpy as np

    if isinstance(reference, tuple):
        return len(result) == len(reference) and all(map(is_close, result, reference))
    if not isinstance(reference, np.ndarray | np.generic | float):
        return type(result) is type(reference) and result == reference
    scale = float(np.max(np.abs(reference))) if np.size(reference) else 1.0
    return bool(np.allclose(result, reference, rtol=1e-6, atol=1e-8 * scale))


def linear_algebra(work: Work, size: int, task_count: int) -> None:
    import numpy as np
    from numpy import linalg

    a = np.random.default_rng(size).random((size, size))
    symmetric = a @ a.T + np.eye(size) * size
    computations = {
        "inv": lambda: linalg.inv(a),
        "solve": lambda: linalg.solve(a, a[0]),
        "det": lambda: linalg.slogdet(a),
        "svd": lambda: linalg.svd(a, compute_uv=False),
        "eig": lambda: np.sort_complex(linalg.eigvals(a)),
        "eigh": lambda: linalg.eigvalsh(symmetric),
        "qr": lambda: tuple(linalg.qr(a)),
        "cholesky": lambda: linalg.cholesky(symmetric),
        "lstsq": lambda: linalg.lstsq(a, a[0], rcond=None)[0],
        "matmul": lambda: a @ a,
        "transposed matmul": lambda: a.T @ a,
        "complex inv": lambda: linalg.inv(a + 1j),
        "float32 solve": lambda: linalg.solve(symmetric.astype("f4"), a.astype("f4")),
    }
    for name, compute in computations.items():
        work.value(f"{name} {size}", compute, task_count)


@library
def numpy() -> Work:
    import numpy as np

    work = Work(is_close)
    for size, task_count in SIZES.items():
        linear_algebra(work, size, task_count)
    a = np.random.default_rng(0).random((LARGE, LARGE))
    symmetric = a @ a.T + np.eye(LARGE) * LARGE
    large = {
        "inv": lambda: np.linalg.inv(a),
        "solve": lambda: np.linalg.solve(a, a[0]),
        "svd": lambda: np.linalg.svd(a, compute_uv=False),
        "qr": lambda: tuple(np.linalg.qr(a)),
        "cholesky": lambda: np.linalg.cholesky(symmetric),
        "matmul": lambda: a @ a,
    }
    for name, compute in large.items():
        work.value(f"{name} {LARGE}", compute, 1)
    numbers = np.random.default_rng(1).random(100_000)
    work.value("sort", lambda: np.sort(numbers))
    work.value("fft", lambda: np.fft.fft(numbers))
    work.value("einsum", lambda: np.einsum("ij,jk,kl->il", a[:90, :90], a[:90, :90], a[:90, :90]))
    work.limit("array of lists", lambda n: np.array(nested(n)).tolist(), 100)
    work.limit("repr of objects", lambda n: repr(np.array([nested(n), 1], dtype=object)), 3000)
    work.limit("nested dtypes", lambda n: np.dtype(nested(n, lambda i: [("a", i or "i4")])), 500)
    return work


@library
def scipy() -> Work:
    import numpy as np
    from scipy import cluster, fft, integrate, linalg, optimize, signal, sparse, spatial
    from scipy.sparse import csgraph
    from scipy.sparse import linalg as sparse_linalg

    work = Work(is_close)
    generator = np.random.default_rng(2)
    a, points = generator.random((200, 200)), generator.random((20_000, 3))
    grid = sparse.diags_array([-1, 4, -1], offsets=[-1, 0, 1], shape=(4000, 4000)).tocsc()
    chain = sparse.diags_array([1], offsets=[1], shape=(30_000, 30_000)).tocsr()
    line = np.arange(1500, dtype=float)[:, None] ** 1.01
    work.value("lu", lambda: tuple(linalg.lu(a)))
    work.value("schur", lambda: np.sort_complex(linalg.schur(a, "complex")[0].diagonal()), 1)
    work.value("expm", lambda: linalg.expm(a / 100))
    work.value("sparse lu", lambda: sparse_linalg.splu(grid).solve(np.ones(4000)))
    work.value("sparse eigenvalues", lambda: np.sort(sparse_linalg.eigsh(grid, 3, sigma=2)[0]), 2)
    work.value("depth first", lambda: csgraph.depth_first_order(chain, 0)[0].astype(float))
    work.value("components", lambda: csgraph.connected_components(chain)[0])
    work.value("tree", lambda: spatial.cKDTree(points, leafsize=1).query(points[:2000], 3)[0])
    work.value("hull", lambda: spatial.ConvexHull(points[:5000]).volume)
    work.value("triangles", lambda: len(spatial.Delaunay(points[:2000]).simplices))
    work.value("linkage", lambda: cluster.hierarchy.linkage(line), 4)
    work.value(
        "ode", lambda: integrate.solve_ivp(lambda _, y: -y, (0, 9), [1.0], method="LSODA").y[:, -1]
    )
    work.value("quad of quad", lambda: integrate.dblquad(lambda x, y: x * y, 0, 1, 0, 1)[0])
    work.value("minimum", lambda: optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8]).x)
    work.value("program", lambda: optimize.linprog(-np.ones(50), a[:50, :50], np.ones(50)).fun)
    work.value("fft", lambda: np.abs(fft.fft(points[:, 0])))
    work.value("filter", lambda: signal.sosfilt(signal.butter(9, 0.1, output="sos"), points[:, 0]))
    return work


@library
def decimal() -> Work:
    import decimal

    work = Work()
    context = decimal.Context(prec=10**6)
    sys.set_int_max_str_digits(0)
    integer = (1 << 600_000) - 1
    for digits in (1_000, 10_000, 40_000, 200_000):
        number = decimal.Decimal("3" * digits)
        work.value(f"square {digits}", lambda x=number: hash(context.multiply(x, x)))
    number = decimal.Decimal("7" * 5000)
    work.value("divide", lambda: hash(decimal.Context(prec=20_000).divide(1, number)))
    work.value("square root", lambda: hash(decimal.Context(prec=5_000).sqrt(number)))
    work.value("exponential", lambda: hash(decimal.Context(prec=500).exp(decimal.Decimal(3))))
    work.value("text of an int", lambda: hash(str(integer)), 3)
    work.value("int of a text", lambda: hash(int("7" * 100_000)), 3)
    work.value("product of ints", lambda: hash(integer * (integer - 2)))
    work.value("power of ints", lambda: hash(pow(3, integer >> 599_000, integer >> 590_000)), 2)
    return work
