# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy: each block and each session is a transaction. argv: host, port, database, user, rounds."""
import os
import sys

import sqlalchemy as sa
from sqlalchemy.orm import Session, declarative_base

HOST, PORT, DATABASE, USER, ROUNDS = *sys.argv[1:5], int(sys.argv[5])
Base = declarative_base()


class Row(Base):
    __tablename__ = "rd"
    id = sa.Column(sa.Integer, primary_key=True)
    v = sa.Column(sa.String)


url = sa.engine.URL.create("postgresql+psycopg2", USER, os.environ["PGPASSWORD"], HOST, int(PORT), DATABASE)
engine = sa.create_engine(url, pool_size=2, future=True)
for _ in range(ROUNDS):
    with engine.begin() as c:
        assert c.execute(sa.text("SELECT v FROM rd WHERE id = :i"), {"i": 1}).scalar() == "value 1"
for _ in range(ROUNDS):
    with Session(engine) as session:
        assert session.get(Row, 2).v == "value 2"
        assert session.execute(sa.select(Row.v).where(Row.id == 3)).scalar() == "value 3"
print(f"{ROUNDS * 3} reads of SQLAlchemy {sa.__version__}")
