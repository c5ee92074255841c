"""Adds and removes TXT records with DNS clients of others, so that tests can compare what they do.

Usage: clients.py CLIENT ZONE NAME, with the client's options as a JSON object in CLIENT_OPTIONS. Each line of the standard input is
`present` or `cleanup` and a key authorization. Each is answered by a line: `ok`, or `error: ` and why.
"""

import base64
import hashlib
import importlib
import json
import os
import sys
import types


def lexicon(provider, zone, name, options):
    """A provider of DNS-Lexicon."""
    from lexicon.config import ConfigResolver

    settings = {"provider_name": provider, "domain": zone, "ttl": 3600, provider: options}
    module = importlib.import_module(f"lexicon._private.providers.{provider}")
    client = module.Provider(ConfigResolver().with_dict(settings))
    client.authenticate()

    def content(value):
        # DNSimple shows values in quotes.
        return f'"{value}"' if provider == "dnsimple" else value

    def present(value):
        client.create_record("TXT", name, content(value))

    def cleanup(value):
        client.delete_record(None, "TXT", name, content(value))

    return present, cleanup


def edgedns(zone, name, options):
    """Akamai's plugin for certbot, without certbot."""
    stand_in_for_certbot()
    from certbot_plugin_edgedns import edgedns as plugin

    plugin.EDGEGRID_CREDS.update(options)
    client = plugin._EdgeDNSClient(None)

    def present(value):
        client.add_txt_record(zone, name, value)

    def cleanup(value):
        client.del_txt_record(zone, name, value)

    return present, cleanup


def stand_in_for_certbot():
    """What the plugin imports of certbot 1. Later ones do not have it."""
    from zope.interface import Interface

    def parents(domain):
        labels = domain.split(".")
        return [".".join(labels[at:]) for at in range(len(labels))]

    common = {"DNSAuthenticator": object, "base_domain_name_guesses": parents}
    interfaces = {"IAuthenticator": type(Interface)("IAuthenticator"), "IPluginFactory": type(Interface)("IPluginFactory")}
    for module, content in {
        "certbot": {},
        "certbot.compat": {"os": os},
        "certbot.errors": {"PluginError": type("PluginError", (Exception,), {})},
        "certbot.interfaces": interfaces,
        "certbot.plugins": {},
        "certbot.plugins.dns_common": common,
    }.items():
        sys.modules[module] = types.ModuleType(module)
        vars(sys.modules[module]).update(content)
        parent, _, child = module.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[module])


def main():
    client, zone, name = sys.argv[1:]
    options = json.loads(os.environ["CLIENT_OPTIONS"])
    changes = None
    for line in sys.stdin:
        action, key_authorization = line.split()
        digest = hashlib.sha256(key_authorization.encode()).digest()
        value = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        try:
            if changes is None:
                changes = edgedns(zone, name, options) if client == "edgedns" else lexicon(client, zone, name, options)
            changes[0 if action == "present" else 1](value)
            print("ok", flush=True)
        except Exception as error:
            print("error:", repr(error).replace("\n", " "), flush=True)


main()
