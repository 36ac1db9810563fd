# SPDX-License-Identifier: Apache-2.0
"""Trap T7: what twistd needs to see the plugin in an installed distribution."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

ROOT = Path(__file__).parents[3]


def test_twistd_sees_the_plugin() -> None:
    found = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "edgeserver"]
    assert len(found) == 1
    assert getattr(found[0], "module", None) == "edge_twisted.tap"


def test_twisted_s_packages_stay_twisted_s() -> None:
    """An ``__init__.py`` there would hide all other plugins, and Twisted itself."""
    assert not list((ROOT / "twisted").rglob("__init__.py"))
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "twisted.plugins" in setup["options.packages.find"]["include"].split()
