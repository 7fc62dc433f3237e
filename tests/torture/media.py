"""Libraries that draw, pack and encrypt."""

import io
from typing import Any

from tests.torture.work import Work, library

DATA = b"".join(b"%d," % (number * number % 977) for number in range(50_000))


def digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@library
def PIL() -> Work:  # noqa: N802  # as it is imported
    from PIL import Image, ImageDraw, ImageFilter, ImageOps

    work = Work()
    picture = Image.effect_mandelbrot((300, 200), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    picture.load()

    def saved(form: str) -> bytes:
        file = io.BytesIO()
        picture.save(file, form)
        return file.getvalue()

    def drawn() -> bytes:
        image = picture.copy()
        draw = ImageDraw.Draw(image)
        draw.ellipse((20, 20, 200, 150), "red", "blue")
        draw.text((10, 10), "of a task", "white")
        ImageDraw.floodfill(image, (250, 150), (0, 255, 0))
        return image.tobytes()

    for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        work.value(form, lambda form=form: digest(saved(form)))
        work.value(
            f"read {form}",
            lambda form=form: Image.open(io.BytesIO(saved(form))).convert("RGB").size,
        )
    work.value(
        "resize", lambda: digest(picture.resize((700, 500), Image.Resampling.LANCZOS).tobytes())
    )
    work.value("rotate", lambda: digest(picture.rotate(33, expand=True).tobytes()))
    work.value("blur", lambda: digest(picture.filter(ImageFilter.GaussianBlur(5)).tobytes()))
    work.value("median", lambda: digest(picture.filter(ImageFilter.MedianFilter(5)).tobytes()))
    work.value("few colours", lambda: digest(picture.quantize(16).tobytes()))
    work.value("equal", lambda: digest(ImageOps.equalize(picture).tobytes()))
    work.value("draw", lambda: digest(drawn()))
    return work


@library
def matplotlib() -> Work:
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    from matplotlib.figure import Figure

    work = Work()
    x = np.linspace(0, 9, 200)

    def figure(draw: Any) -> str:
        made = Figure(figsize=(4, 3))
        draw(made)
        file = io.BytesIO()
        made.savefig(file, format="png", metadata={"Software": None})
        return digest(file.getvalue())

    def lines(made: Any) -> None:
        axes = made.subplots()
        axes.plot(x, np.sin(x), label=r"$\sqrt{\frac{a}{b_{c^{d}}}}$")
        axes.legend()

    def surface(made: Any) -> None:
        made.add_subplot(projection="3d").plot_surface(*np.meshgrid(x[::9], x[::9]), np.eye(23))

    def contours(made: Any) -> None:
        made.subplots().contourf(np.outer(np.sin(x), np.cos(x)), 20)

    def formula(n: int) -> str:
        return figure(lambda made: made.text(0, 0, "$" + r"\frac{1}{" * n + "1" + "}" * n + "$"))

    work.value("lines", lambda: figure(lines), 4)
    work.value("contours", lambda: figure(contours), 4)
    work.value("surface", lambda: figure(surface), 2)
    work.limit("formula", formula, 40)
    return work


@library
def cryptography() -> Work:
    from cryptography import fernet, x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    from cryptography.x509.oid import NameOID

    work = Work()
    key = rsa.generate_private_key(65537, 2048)
    curve, edwards = ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    secret = fernet.Fernet(fernet.Fernet.generate_key())

    def agreed() -> bool:
        other = ec.generate_private_key(ec.SECP384R1())
        return curve.exchange(ec.ECDH(), other.public_key()) == other.exchange(
            ec.ECDH(), curve.public_key()
        )

    def request() -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "task")])
        made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        return digest(made.public_bytes(serialization.Encoding.DER))

    work.value("rsa", lambda: digest(key.sign(DATA, padding.PKCS1v15(), hashes.SHA512())))
    work.value("ed25519", lambda: digest(edwards.sign(DATA)))
    work.value("curve", agreed)
    work.value("aes", lambda: digest(AESGCM(b"k" * 32).encrypt(b"n" * 12, DATA, None)))
    work.value("scrypt", lambda: digest(Scrypt(b"s" * 16, 32, 2**12, 8, 1).derive(b"word")), 4)
    work.value("fernet", lambda: secret.decrypt(secret.encrypt(DATA)) == DATA)
    work.value("pem", lambda: serialization.load_pem_private_key(pem, None).key_size)
    work.value("request", request)
    work.value("rsa key", lambda: rsa.generate_private_key(65537, 2048).key_size, 2)
    return work


@library
def zlib() -> Work:
    """And the other ones that pack."""
    import bz2
    import lzma
    import zlib

    work = Work()
    for module, levels in ((zlib, (1, 6, 9)), (bz2, (1, 9))):
        for level in levels:
            work.value(
                f"{module.__name__} {level}", lambda m=module, n=level: digest(m.compress(DATA, n))
            )
        work.value(f"un{module.__name__}", lambda m=module: m.decompress(m.compress(DATA)) == DATA)
    for level in (0, 6, 9):
        work.value(f"lzma {level}", lambda n=level: digest(lzma.compress(DATA, preset=n)), 4)
    work.value("unlzma", lambda: lzma.decompress(lzma.compress(DATA, preset=0)) == DATA, 4)
    return work


@library
def hashlib() -> Work:
    import hashlib

    work = Work()
    for name in ("sha1", "sha512", "sha3_256", "blake2b", "blake2s", "md5"):
        work.value(
            name, lambda name=name: hashlib.new(name, DATA, usedforsecurity=False).hexdigest()
        )
    work.value("scrypt", lambda: hashlib.scrypt(b"w", salt=b"s", n=2**13, r=8, p=1), 4)
    work.value("pbkdf2", lambda: hashlib.pbkdf2_hmac("sha256", b"w", b"s", 20_000), 4)
    return work
