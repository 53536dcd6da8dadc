# SPDX-License-Identifier: Apache-2.0
"""Django with a transaction around each view (as with ATOMIC_REQUESTS). argv: host, port, database, user, rounds."""
import os
import sys

import django
from django.conf import settings

HOST, PORT, DATABASE, USER, ROUNDS = *sys.argv[1:5], int(sys.argv[5])
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT, "NAME": DATABASE,
                           "USER": USER, "PASSWORD": os.environ["PGPASSWORD"], "CONN_MAX_AGE": 60, "ATOMIC_REQUESTS": True}},
    USE_TZ=True, INSTALLED_APPS=[], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()

from django.db import models, transaction  # noqa: E402


class Row(models.Model):
    id = models.IntegerField(primary_key=True)
    v = models.TextField()

    class Meta:
        app_label, db_table, managed = "rows", "rd", False


@transaction.atomic
def view(i):
    row = Row.objects.get(pk=i)
    return row.v, Row.objects.filter(pk__in=[i, i + 1]).count()


for n in range(ROUNDS):
    assert view(1 + n % 2) == (f"value {1 + n % 2}", 2)
print(f"{ROUNDS * 2} reads of Django {django.__version__}")
