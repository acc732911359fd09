"""djangorestframework-simplejwt as the tests use it: python server.py PORT FOLDER.

Lifetimes in seconds: ACCESS_TTL, REFRESH_TTL. ROTATE=1 replaces refresh tokens, BLACKLIST=1 kills the old ones.
The database is in FOLDER, so a server that is started there again knows the tokens of the one before.
"""

import os
import sys
from datetime import timedelta

import django
from django.conf import settings

PORT, FOLDER = sys.argv[1:]
ACCESS_TTL = timedelta(seconds=float(os.environ.get("ACCESS_TTL", 10)))
REFRESH_TTL = timedelta(seconds=float(os.environ.get("REFRESH_TTL", 600)))
STATS = {"logins": 0, "refreshes": 0, "refused": 0, "revoked_grants": 0, "rejected": 0}

sys.modules["server"] = sys.modules["__main__"]
settings.configure(
    DEBUG=False,
    SECRET_KEY="test-" * 16,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="server",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "rest_framework",
        "rest_framework_simplejwt",
        "rest_framework_simplejwt.token_blacklist",
    ],
    MIDDLEWARE=["server.count"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(FOLDER, "db.sqlite3"),
            "OPTIONS": {"timeout": 60, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    SIMPLE_JWT={
        "ACCESS_TOKEN_LIFETIME": ACCESS_TTL,
        "REFRESH_TOKEN_LIFETIME": REFRESH_TTL,
        "SLIDING_TOKEN_LIFETIME": ACCESS_TTL,
        "SLIDING_TOKEN_REFRESH_LIFETIME": REFRESH_TTL,
        "ROTATE_REFRESH_TOKENS": os.environ.get("ROTATE", "1") == "1",
        "BLACKLIST_AFTER_ROTATION": os.environ.get("BLACKLIST", "1") == "1",
        "AUTH_TOKEN_CLASSES": [
            "rest_framework_simplejwt.tokens.AccessToken",
            "rest_framework_simplejwt.tokens.SlidingToken",
        ],
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt import views  # noqa: E402


class Me(APIView):
    def get(self, request):
        return Response({"user": request.user.username})


def count(get_response):
    """Counts what was answered."""

    def answer(request):
        response = get_response(request)
        granted, url = response.status_code == 200, request.path
        if url == "/api/me/" and response.status_code == 401:
            STATS["rejected"] += 1
        elif url.startswith("/api/token/") and url != "/api/token/blacklist/":
            kind = "refreshes" if url.endswith("/refresh/") else "logins"
            STATS[kind if granted else "refused"] += 1
        return response

    return answer


urlpatterns = [
    path("stats", lambda request: JsonResponse(STATS)),
    path("api/me/", Me.as_view()),
    path("api/token/", views.TokenObtainPairView.as_view()),
    path("api/token/refresh/", views.TokenRefreshView.as_view()),
    path("api/token/blacklist/", views.TokenBlacklistView.as_view()),
    path("api/token/sliding/", views.TokenObtainSlidingView.as_view()),
    path("api/token/sliding/refresh/", views.TokenRefreshSlidingView.as_view()),
]

if __name__ == "__main__":
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    if not User.objects.filter(username="ada").exists():
        User.objects.create_user("ada", password="lovelace")
    call_command("runserver", f"127.0.0.1:{PORT}", use_reloader=False, verbosity=0)
