"""The API can do what the command line can, but for what only makes sense on the machine itself."""

import click
import typer
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from landbridge.cli.app import app
from landbridge.server import api

BY_ROUTES = {
    "check": ["POST /dataflows/{id}/check"],
    "components": ["GET /components", "GET /components/{name}"],
    "lint": ["POST /dataflows/lint", "GET /dataflows/{id}/lint"],
    "dataflows list": ["GET /dataflows"],
    "dataflows add": ["POST /dataflows", "PUT /dataflows/{id}"],
    "dataflows show": ["GET /dataflows/{id}"],
    "dataflows export": ["GET /dataflows/{id}/export"],
    "dataflows versions": ["GET /dataflows/{id}/versions", "GET /dataflows/{id}/versions/{version}"],
    "dataflows diff": ["GET /dataflows/{id}/diff"],
    "dataflows remove": ["DELETE /dataflows/{id}"],
    "jobs list": ["GET /jobs"],
    "jobs show": ["GET /jobs/{id}"],
    "jobs start": ["POST /dataflows/{id}/jobs"],
    "jobs cancel": ["POST /jobs/{id}/cancel"],
    "jobs retry": ["POST /jobs/{id}/retry"],
    "jobs approve": ["POST /jobs/{id}/decision"],
    "jobs trace": ["GET /jobs/{id}/trace", "GET /jobs/{id}/samples", "GET /jobs/{id}/events"],
    "jobs retention": ["GET /retention", "PUT /retention"],
    "jobs limits": ["GET /limits", "PUT /limits"],
    "connections add": ["POST /connections"],
    "connections set": ["PUT /connections/{name}"],
    "connections list": ["GET /connections"],
    "connections show": ["GET /connections/{name}"],
    "connections test": ["POST /connections/{name}/test"],
    "connections remove": ["DELETE /connections/{name}"],
    "connections rotate-key": ["POST /key/rotation"],
    "connections pin": ["POST /host-keys", "POST /host-keys/offered"],
    "rejects list": ["GET /rejects"],
    "rejects show": ["GET /rejects/{id}"],
    "rejects export": ["GET /jobs/{id}/rejects/export"],
    "rejects replay": ["POST /jobs/{id}/replay"],
    "schedules next": ["GET /schedulings/{id}/preview", "POST /schedulings/preview"],
    "schedules list": ["GET /schedulings"],
    "schedules add": ["POST /schedulings"],
    "schedules set": ["PUT /schedulings/{id}"],
    "schedules show": ["GET /schedulings/{id}"],
    "schedules switch": ["PATCH /schedulings/{id}"],
    "schedules remove": ["DELETE /schedulings/{id}"],
    "delta show": ["GET /dataflows/{id}/delta"],
    "delta set": ["PUT /dataflows/{id}/delta"],
    "delta reset": ["DELETE /dataflows/{id}/delta"],
    "alerts add": ["POST /alert-rules"],
    "alerts rules": ["GET /alert-rules"],
    "alerts list": ["GET /alerts"],
    "alerts test": ["POST /alert-rules/{id}/test"],
    "alerts remove": ["DELETE /alert-rules/{id}"],
    "users add": ["POST /users"],
    "users list": ["GET /users"],
    "users set": ["PATCH /users/{user_id}"],
    "users password": ["POST /users/{user_id}/password"],
    "users remove": ["DELETE /users/{user_id}"],
    "tokens add": ["POST /tokens"],
    "tokens list": ["GET /tokens"],
    "tokens revoke": ["DELETE /tokens/{token_id}"],
    "audit list": ["GET /audit"],
    "idx list": ["GET /sites"],
    "idx credentials": ["GET /sites/{api_key}/credentials", "POST /sites/{api_key}/credentials"],
    "idx add": ["POST /sites"],
    "templates list": ["GET /templates"],
    "templates show": ["GET /templates/{name}"],
    "templates new": ["POST /templates/{name}/fill"],
}

ON_THE_MACHINE = {
    "run": "runs a file here and now, without a service; through it, POST /dataflows and then /dataflows/{id}/jobs",
    "show": "draws a file; the document that the API gives has the steps and edges",
    "demo": "starts servers of its own on this machine",
    "serve": "is the service",
    "worker": "is a process on this machine",
    "users setup-link": "is for a service without users, where nobody could ask",
    "script run": "tries the script of a file on sample records beside it",
    "script extract": "writes files beside a dataflow's file",
    "script embed": "as the above",
    "site serve": "is a server of its own",
    "sandbox serve": "as the above",
}
"""What the API does not offer, and why."""


def commands():
    def walk(command, context, words):
        if not hasattr(command, "list_commands"):
            yield " ".join(words)
            return
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            yield from walk(found, click.Context(found, info_name=name, parent=context), [*words, name])

    root = typer.main.get_command(app)
    return sorted(walk(root, click.Context(root), []))


def routes():
    application = FastAPI()
    application.include_router(api.router())
    return {
        f"{method} {route.path.removeprefix(api.ROOT)}"
        for route in iter_route_contexts(application.routes)
        for method in getattr(route, "methods", None) or ()
    }


def test_every_command_has_its_route_or_a_reason_why_not():
    assert BY_ROUTES.keys() & ON_THE_MACHINE.keys() == set()
    assert sorted({*BY_ROUTES, *ON_THE_MACHINE}) == commands()


def test_the_routes_of_the_commands_are_there():
    found = routes()
    assert {route for each in BY_ROUTES.values() for route in each} - found == set()
