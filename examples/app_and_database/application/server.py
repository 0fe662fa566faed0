"""Personnel listing: a page, and a small REST API in front of a database."""

import os
import signal
import sys
from contextlib import closing

import pymysql
from flask import Flask, Response, jsonify, request

DATABASE = {
    "host": os.environ.get("DATABASE_HOST", "database"),
    "user": "root",
    "password": os.environ.get("DATABASE_PASSWORD", "BeReSeMi.DataScience"),
    "database": "data_science",
    "charset": "utf8mb4",
    "connect_timeout": 3,
    "cursorclass": pymysql.cursors.DictCursor,
}
FIELDS = ("name", "hobbies", "role")

app = Flask(__name__)


def connect():
    return closing(pymysql.connect(**DATABASE, autocommit=True))


@app.errorhandler(pymysql.err.OperationalError)
def database_away(error):
    # Compose starts us when the database *starts*, which is some seconds
    # before it answers; a client is told to come back rather than shown a trace.
    app.logger.warning("database: %s", error)
    response = jsonify(error="the database does not answer yet, try again in a moment")
    return response, 503, {"Retry-After": "1"}


@app.get("/")
def index():
    with open("index.html", encoding="utf-8") as page:
        return Response(page.read(), mimetype="text/html")


@app.get("/employees")
def list_employees():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, name, hobbies, role FROM employees ORDER BY id")
        return jsonify(cursor.fetchall())


@app.post("/employees")
def add_employee():
    employee = request.get_json(silent=True)
    if not isinstance(employee, dict):
        return jsonify(error="send a JSON object"), 400
    values = []
    for field in FIELDS:
        value = employee.get(field)
        if not isinstance(value, str) or not value.strip():
            return jsonify(error=f"{field}: a text that is not empty is needed"), 400
        values.append(value.strip())
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO employees (name, hobbies, role) VALUES (%s, %s, %s)", values
        )
        return jsonify(id=cursor.lastrowid, **dict(zip(FIELDS, values))), 201


if __name__ == "__main__":
    # PID 1 has no default action for SIGTERM, so that `down` need not wait.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=8787)
