# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy with its own pool: argv is host, port, database, user; the password is PGPASSWORD."""
import os
import sys
import threading

import sqlalchemy as sa
from sqlalchemy.orm import Session, declarative_base, relationship

HOST, PORT, DATABASE, USER = sys.argv[1:5]
Base = declarative_base()


class Parent(Base):
    __tablename__ = "sa_parent"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String, unique=True)
    children = relationship("Child", back_populates="parent", cascade="all, delete-orphan")


class Child(Base):
    __tablename__ = "sa_child"
    id = sa.Column(sa.Integer, primary_key=True)
    parent_id = sa.Column(sa.ForeignKey("sa_parent.id"))
    parent = relationship("Parent", back_populates="children")


def main():
    url = sa.engine.URL.create("postgresql+psycopg2", USER, os.environ["PGPASSWORD"], HOST, int(PORT), DATABASE)
    engine = sa.create_engine(url, pool_size=4, future=True, connect_args={"application_name": "alchemy"})
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Parent(name=f"p{i}", children=[Child() for _ in range(i)]) for i in range(6)])
        session.commit()
        assert session.query(Child).count() == 15
        session.delete(session.query(Parent).filter_by(name="p5").one())
        session.flush()
        with session.begin_nested() as point:
            session.add(Parent(name="p0"))
            try:
                session.flush()
                raise AssertionError("no error")
            except sa.exc.IntegrityError:
                point.rollback()
        session.commit()
        assert session.query(Child).count() == 10
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as c:
        assert c.execute(sa.text("SHOW transaction_isolation")).scalar() == "serializable"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        assert c.execute(sa.text("SHOW transaction_isolation")).scalar() == "read committed"
    with engine.connect() as c:
        rows = c.execution_options(stream_results=True, max_row_buffer=10).execute(
            sa.text("SELECT i FROM generate_series(1, 500) i"))
        assert [r[0] for r in rows] == list(range(1, 501))
    wrong = []

    def work(n):
        for i in range(20):
            with engine.begin() as c:
                seen = c.execute(sa.text("SELECT :n, current_setting('application_name')"), {"n": n * 100 + i}).one()
                if tuple(seen) != (n * 100 + i, "alchemy"):
                    wrong.append(seen)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    names = sa.inspect(engine).get_table_names()
    assert {"sa_child", "sa_parent"} <= set(names), names
    print(f"SQLAlchemy {sa.__version__}")


main()
