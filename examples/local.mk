# SPDX-License-Identifier: BSD-3-Clause

libvirtdir = $(docdir)/libvirt
dist_libvirt_DATA = examples/libvirt/appliance.xml examples/libvirt/domain.xml

# Each is one file and one idea.  embed plays the guest's driver, too, so it has
# the ring of guest/; the modules are tried by tests/unit/check_examples.
check_PROGRAMS += examples/embed
TESTS += examples/embed
examples_embed_LDADD = libguest.la libpvio.la

check_PROGRAMS += examples/embed-pci
TESTS += examples/embed-pci
examples_embed_pci_SOURCES = examples/embed-pci.c
examples_embed_pci_LDADD = libguest.la libpvio.la

check_LTLIBRARIES += \
	examples/backend.la \
	examples/model.la \
	examples/transport.la
examples_backend_la_CPPFLAGS = $(AM_CPPFLAGS) -DPVIO_MODULE
examples_backend_la_LDFLAGS = $(example_module_ldflags)
examples_model_la_CPPFLAGS = $(AM_CPPFLAGS) -DPVIO_MODULE
examples_model_la_LDFLAGS = $(example_module_ldflags)
examples_transport_la_CPPFLAGS = $(AM_CPPFLAGS) -DPVIO_MODULE
examples_transport_la_LDFLAGS = $(example_module_ldflags)
example_module_ldflags = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere

include $(srcdir)/examples/tinyvmm/local.mk
