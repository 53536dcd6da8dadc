# SPDX-License-Identifier: Apache-2.0
"""Django's ORM: argv is host, port, database, user; the password is PGPASSWORD."""
import os
import sys

import django
from django.conf import settings

HOST, PORT, DATABASE, USER = sys.argv[1:5]
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT, "NAME": DATABASE,
                           "USER": USER, "PASSWORD": os.environ["PGPASSWORD"], "CONN_MAX_AGE": 60}},
    USE_TZ=True, TIME_ZONE="Asia/Tokyo", INSTALLED_APPS=[], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()

from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        app_label = "shop"


class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    title = models.TextField()
    data = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "shop"


def main():
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    names = [f"author {i}" for i in range(20)]
    Author.objects.bulk_create([Author(name=n) for n in names])
    for author in Author.objects.all():
        author.books.create(title=f"by {author.name}", data={"n": author.pk})
    assert Book.objects.filter(author__name="author 7", data__n__gt=0).get().title == "by author 7"
    # A server-side cursor, WITH HOLD outside a transaction.
    assert [b.pk for b in Book.objects.order_by("pk").iterator(chunk_size=3)] == list(range(1, 21))
    try:
        with transaction.atomic():
            Author.objects.create(name="new")
            try:
                with transaction.atomic():
                    Author.objects.create(name="author 3")
            except IntegrityError:
                pass
            Author.objects.select_for_update().get(name="author 1")
            Book.objects.filter(author__name="author 1").delete()
            raise KeyError
    except KeyError:
        pass
    assert Author.objects.count() == 20 and not Author.objects.filter(name="new").exists()
    with transaction.atomic():
        Book.objects.filter(author__name="author 1").delete()
        Author.objects.get(name="author 1").delete()
    assert Book.objects.count() == 19
    with connection.cursor() as cursor:
        cursor.execute("SHOW TimeZone")
        assert cursor.fetchone() == ("UTC",)
    for _ in range(30):
        assert Author.objects.get(name="author 5").books.count() == 1
    print(f"Django {django.get_version()}")


main()
