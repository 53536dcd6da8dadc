# SPDX-License-Identifier: Apache-2.0
"""An LDAP server of the test's own: OpenLDAP's slapd on a free port, with a scratch directory."""
import os
import shutil
import socket
import tempfile
import threading

import cluster as pg
from proxy import Proxy

SUFFIX = "dc=example,dc=net"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "admin-secret"
SCHEMA = "/etc/ldap/schema"


def binary():
    return shutil.which("slapd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/openldap:/usr/libexec")


def entry(dn, **attributes):
    lines = [f"dn: {dn}"]
    for name, values in attributes.items():
        lines += [f"{name}: {value}" for value in ([values] if isinstance(values, str) else values)]
    return "\n".join(lines) + "\n\n"


def person(uid, password, rdn=None, **more):
    return entry(rdn or f"uid={uid},ou=people,{SUFFIX}", objectClass="inetOrgPerson", uid=uid, cn=uid, sn=uid,
                 userPassword=password, **more)


class Directory:
    """people: {uid: password}; more: further entries, as LDIF."""

    def __init__(self, directory, people, more="", certificate=None, size_limit=None):
        self.directory = tempfile.mkdtemp(prefix="slapd-", dir=directory)
        os.mkdir(f"{self.directory}/db")
        for path in (self.directory, f"{self.directory}/db"):
            os.chmod(path, 0o755)
            pg.give(path)
        self.port, self.tls_port = pg.free_port(), pg.free_port()
        self.logfile = f"{self.directory}/log"
        conf = [f"include {SCHEMA}/{name}.schema" for name in ("core", "cosine", "inetorgperson")]
        conf += [f"pidfile {self.directory}/pid", "modulepath /usr/lib/ldap", "moduleload back_mdb"]
        if size_limit:
            conf += [f"sizelimit {size_limit}"]
        if certificate:
            conf += [f"TLSCertificateFile {certificate}.crt", f"TLSCertificateKeyFile {certificate}.key"]
        conf += ["database mdb", "maxsize 10485760", f'suffix "{SUFFIX}"', f'rootdn "{ADMIN}"',
                 f"rootpw {ADMIN_PASSWORD}", f"directory {self.directory}/db"]
        self._put("slapd.conf", "\n".join(conf) + "\n")
        ldif = entry(SUFFIX, objectClass=["dcObject", "organization"], dc="example", o="example")
        ldif += entry(f"ou=people,{SUFFIX}", objectClass="organizationalUnit", ou="people")
        self._put("data.ldif", ldif + "".join(person(uid, secret) for uid, secret in people.items()) + more)
        pg.call([binary(), "-T", "add", "-f", f"{self.directory}/slapd.conf", "-l", f"{self.directory}/data.ldif"])
        self.urls = f"ldap://127.0.0.1:{self.port}" + (f" ldaps://127.0.0.1:{self.tls_port}" if certificate else "")
        self.process = None
        self.start()

    def _put(self, name, text):
        with open(f"{self.directory}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
        pg.give(f"{self.directory}/{name}")

    def start(self):
        with open(self.logfile, "ab") as log:
            self.process = pg.spawn([binary(), "-h", self.urls, "-f", f"{self.directory}/slapd.conf", "-d", "stats"],
                                    stdout=log, stderr=log)

        def accepts():
            assert self.process.poll() is None, self.log()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        Proxy.wait(accepts, "the directory's port")

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()

    def binds(self):
        """How many there were, once all who asked have gone."""
        Proxy.wait(lambda: self.log().count(" ACCEPT ") == self.log().count(" closed"), "the end of all that was asked")
        return self.log().count(" BIND ")

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class DeadServer:
    """Accepts, and never answers: nor does it close."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                taken, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.taken.append(taken)
                self.changed.notify_all()

    def wait_taken(self, n, timeout=20):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= n, timeout), len(self.taken)

    def close(self):
        self.listener.close()
        with self.changed:
            for s in self.taken:
                s.close()
