"""Fetching one file by http or https, for whoever has an address in place of a file."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

from lib.errors import EaselError, naming
from lib.progress import Progress

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
KNOWN = ("http", "https")  # kinds of addresses
CHUNK = 1 << 20
TIMEOUT = 60  # seconds without an answer
HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.UnknownHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
)


def download(address: str, target: Path) -> None:
    """Fetches a file by http or https, by way of the proxies that the variables name.

    Raises:
        EaselError: no answer, an error, or one that was cut; the file cannot be written.
    """
    print(f"downloading {address}", flush=True)
    with naming(target), open(target, "wb") as file:
        for part in _answer(address):
            file.write(part)


def _answer(address: str) -> Iterator[bytes]:
    opener = urllib.request.OpenerDirector()  # without the handlers of files and FTP, to which it may be redirected
    for handler in HANDLERS:
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "easel")]
    try:
        with closing(opener.open(address, timeout=TIMEOUT)) as answer:
            length, done = int(answer.headers.get("Content-Length") or 0), 0
            progress = Progress("download", length or 1)
            while part := answer.read(CHUNK):
                yield part
                done += len(part)
                if length:
                    progress.update(done)
    except (OSError, HTTPException, ValueError) as error:
        raise EaselError(f"{address} cannot be downloaded: {error}. Look at the address, or try again.") from error
    if length and done != length:
        raise EaselError(f"{address} cannot be downloaded: the answer ended after {done} of {length} bytes. Try again.")
