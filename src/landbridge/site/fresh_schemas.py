"""The schemas of a fresh site; the profile's is fixed."""

from __future__ import annotations

from typing import Any, Final

from landbridge.site.schema import Schema

_ENCRYPTED: Final = """
firstName lastName email username name nickname zip country city state address bio hometown gender photoURL
thumbnailURL profileURL proxyemail phones.type phones.number work.company work.companyID work.title
work.description work.industry work.location patents.title patents.summary patents.number patents.office
patents.status patents.url publications.title publications.summary publications.publisher publications.url
oidcData.name oidcData.middle_name oidcData.phone_number oidcData.phone_number_verified
oidcData.email_verified oidcData.address.formatted oidcData.address.street_address oidcData.address.locality
oidcData.address.region oidcData.address.postal_code oidcData.address.country
"""
_TEXTS: Final = """
languages locale industry religion politicalView honors educationLevel professionalHeadline specialities
interests activities phones.default education.school education.schoolType education.fieldOfStudy
education.degree skills.skill skills.level certifications.name certifications.authority likes.name
likes.category favorites.interests.name favorites.interests.category favorites.activities.name
favorites.activities.category favorites.books.name favorites.books.category favorites.music.name
favorites.music.category favorites.movies.name favorites.movies.category favorites.television.name
favorites.television.category lastLoginLocation.country lastLoginLocation.state lastLoginLocation.city
"""
_BASIC: Final = """
timezone verified interestedIn relationshipStatus certifications.number likes.id favorites.interests.id
favorites.activities.id favorites.books.id favorites.music.id favorites.movies.id favorites.television.id
oidcData.website oidcData.zoneinfo oidcData.locale oidcData.updated_at
"""
_LONGS: Final = """
age birthDay birthMonth birthYear followersCount followingCount education.startYear education.endYear
skills.years work.companySize likes.timestamp
"""
_DATES: Final = """
work.startDate work.endDate certifications.startDate certifications.endDate patents.date publications.date
likes.time
"""
_CLIENT: Final = frozenset(("email", "firstName", "lastName", "birthYear", "zip", "country"))
_TYPES: Final = (
    (_ENCRYPTED, "string"),
    (_TEXTS, "string"),
    (_BASIC, "basic-string"),
    (_LONGS, "long"),
    (_DATES, "date"),
)


def default_schemas() -> dict[str, Schema]:
    """The schemas of a fresh site."""
    profile = Schema(dynamic=False)
    for names, kind in _TYPES:
        for name in names.split():
            profile.fields[name] = _option(name, kind)
    for name in _ENCRYPTED.split():
        profile.fields[name]["encrypt"] = "AES"
    profile.fields["gender"]["format"] = "regex('[fmu]{1}')"
    profile.fields["work.isCurrent"] = _option("work.isCurrent", "boolean")
    for name in ("lastLoginLocation.coordinates.lat", "lastLoginLocation.coordinates.lon"):
        profile.fields[name] = _option(name, "float")
    data = Schema()
    for name in ("terms", "subscribe"):
        data.fields[name] = {"type": "boolean", "required": False, "allowNull": True, "writeAccess": "clientModify"}
    return {
        "profileSchema": profile,
        "dataSchema": data,
        "subscriptionsSchema": Schema(),
        "preferencesSchema": Schema(),
    }


def _option(name: str, kind: str) -> dict[str, Any]:
    access = "clientModify" if name in _CLIENT else "serverOnly"
    return {"type": kind, "required": False, "allowNull": True, "writeAccess": access}
