"""Which hosts a pod of Silverpop (today Acoustic Campaign) has.

A customer reads the pod from the address of the user interface. The vendor's page lists the present hosts; the older
form is that of the identity vendor's guide and still answers for some organisations.
"""

from __future__ import annotations

from typing import Final

from landbridge.errors import FlowError

_PLACES: Final = {
    "1": "us-1",
    "2": "us-2",
    "3": "us-3",
    "4": "us-4",
    "5": "us-5",
    "6": "eu-1",
    "7": "ap-2",
    "8": "ca-1",
    "9": "us-6",
    "A": "ap-1",
}
PODS: Final = tuple(_PLACES)


def api_url(pod: str, *, legacy: bool = False) -> str:
    """The address of a pod's API, without a slash at the end.

    Raises:
        FlowError: LB-1522; there is no such pod.
    """
    place = _place(pod)
    return f"https://api{pod}.silverpop.com" if legacy else f"https://api-campaign-{place}.goacoustic.com"


def sftp_host(pod: str, *, legacy: bool = False) -> str:
    """The host of a pod's SFTP server.

    Raises:
        FlowError: LB-1522; there is no such pod.
    """
    place = _place(pod)
    return f"transfer{pod}.silverpop.com" if legacy else f"transfer-campaign-{place}.goacoustic.com"


def _place(pod: str) -> str:
    found = _PLACES.get(pod.upper())
    if found is None:
        raise FlowError(
            "LB-1522",
            f'there is no pod "{pod}"',
            hint=f"Read it from the address of the user interface. There are {', '.join(PODS)}; or set url and host.",
        )
    return found
