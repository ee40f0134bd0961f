# SPDX-License-Identifier: BSD-3-Clause

libvirtdir = $(docdir)/libvirt
dist_libvirt_DATA = examples/libvirt/domain.xml
