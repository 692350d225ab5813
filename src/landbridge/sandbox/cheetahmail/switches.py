"""How the emulated CheetahMail behaves where nobody outside knows for certain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    r"""Where nothing is published; the layout of load files is agreed with the vendor, customer by customer.

    Attributes:
        session_life_s: How long a login is good; client code says eight hours.
        refuses_resubscription: setuser1 with ``sub`` for somebody who has left the list is answered with
            ``err:resub:illegal``; otherwise it subscribes again.
        taken_address_is_merged: ``newemail`` with an address that another subscriber has replaces that one; otherwise
            it is refused.
        newemail_creates: setuser1 with ``newemail`` makes a subscriber where ``email`` is not there; otherwise it is
            ``err:email:noexist``.
        limit_status: HTTP status when there are too many calls.
        load_pattern: Names of the files in ``upload`` that are loaded; the group ``list`` is the id of the list.
        load_list: Id of the list where the name tells none.
        load_list_parameter: Parameter of load1 with the list's id.
        load_delimiter: Between two cells of a load file.
        load_charset: Character set of load files and exports.
        match_column: Column by which rows of a load file find their subscriber; EMAIL is looked for next.
        action_column: Column that says what becomes of the subscription: A, U or D.
        load_subscribes: A row without an action is subscribed to the list, unless that is the master list.
        load_resubscribes: A row with A, or without an action, subscribes somebody again who has left the list.
        nulls_overwrite: An empty cell empties the field also in loads into lists other than the master list.
        exports_own_changes: Exports also tell changes that came by a load or the API.
        writes_ready_files: Beside each export that is whole stands ``<name>.ready`` with its number of rows.
        export_delay_s: How long after a change the exports are written; at the vendor it is once a day.
        exports_kept_days: Older exports are removed.
        load_delay_s: How long a load takes at least.
        call_delay_s: How long a call takes at least.
    """

    session_life_s: int = 8 * 3600
    refuses_resubscription: bool = False
    taken_address_is_merged: bool = False
    newemail_creates: bool = False
    limit_status: int = 503
    load_pattern: str = r"subscribers_(?P<list>\d+)_.*\.csv(\.gz)?"
    load_list: str = "0"
    load_list_parameter: str = "sub"
    load_delimiter: str = ","
    load_charset: str = "utf-8"
    match_column: str = "UID"
    action_column: str = "ACTION"
    load_subscribes: bool = True
    load_resubscribes: bool = False
    nulls_overwrite: bool = False
    exports_own_changes: bool = False
    writes_ready_files: bool = False
    export_delay_s: float = 0.5
    exports_kept_days: int = 7
    load_delay_s: float = 0.05
    call_delay_s: float = 0.0
