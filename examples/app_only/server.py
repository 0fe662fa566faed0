"""Personnel listing, alone: one page whose list lives in the browser."""

from flask import Flask, Response

app = Flask(__name__)


@app.get("/")
def index():
    with open("index.html", encoding="utf-8") as page:
        return Response(page.read(), mimetype="text/html")


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8787)
