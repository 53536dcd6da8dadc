# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl command, and contexts of Python's ssl module that use them."""
import os
import ssl
import subprocess

import cluster as pg

NEW_KEY = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"],
           "ed25519": ["-newkey", "ed25519"]}


def run(*argv):
    done = subprocess.run(["openssl", *argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {argv[0]}: {done.stderr}")


class Authority:
    """with a.issue("app") as (cert, key): files in its directory, readable for the unprivileged user."""

    def __init__(self, directory, name="root"):
        self.directory = os.path.join(directory, f"certs-{name}")
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o755)
        self.made = 0
        self.cert, self.key = self._paths("ca")
        run("req", "-x509", *NEW_KEY["ec"], "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key,
            "-out", self.cert)
        self._give(self.cert, self.key)

    def _paths(self, name):
        return f"{self.directory}/{name}.crt", f"{self.directory}/{name}.key"

    @staticmethod
    def _give(cert, key):
        os.chmod(key, 0o600)
        for path in (cert, key):
            pg.give(path)

    def issue(self, common_name, names=(), kind="ec", digest="sha256", days=2, subject=None):
        """(cert, key). names: subjectAltName entries, such as DNS:localhost or IP:127.0.0.1."""
        self.made += 1
        cert, key = self._paths(f"{self.made}")
        request = f"{self.directory}/{self.made}.csr"
        extensions = f"{self.directory}/{self.made}.ext"
        with open(extensions, "w", encoding="ascii") as f:
            f.write("basicConstraints=CA:FALSE\n")
            if names:
                f.write("subjectAltName=" + ",".join(names) + "\n")
        run("req", *NEW_KEY[kind], "-nodes", "-subj", subject or f"/CN={common_name}", "-keyout", key, "-out", request)
        run("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
            f"-{digest}", "-extfile", extensions, "-out", cert)
        self._give(cert, key)
        return cert, key

    def client_context(self, cert=None, host_is_checked=True, direct=False):
        """What a client uses: it checks us by this root, and shows cert, a pair."""
        context = ssl.create_default_context(cafile=self.cert)
        context.check_hostname = host_is_checked
        if cert:
            context.load_cert_chain(*cert)
        if direct:
            context.set_alpn_protocols(["postgresql"])
        return context


def pair_of_all(directory):
    """One for all proxies and the server, where everything is tested by TLS (PGWEIR_TEST_TLS)."""
    pair = f"{directory}/certs-all/1.crt", f"{directory}/certs-all/1.key"
    return pair if os.path.exists(pair[0]) else Authority(directory, "all").issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])


def blind_context(*alpn):
    """A client that checks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def server_context(cert, ca=None, alpn=()):
    """What a fake server uses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*cert)
    if ca:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def copy(pair, to):
    """Puts a certificate and its key where others are, each at once."""
    for source, target in zip(pair, to):
        with open(source, encoding="ascii") as f:
            text = f.read()
        with open(target + ".new", "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(target + ".new", 0o600)
        pg.give(target + ".new")
        os.rename(target + ".new", target)
