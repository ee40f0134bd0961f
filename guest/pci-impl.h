/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-impl.h - what guest/pci.c and guest/pci-common.c share
 */
#ifndef PVIO_GUEST_PCI_IMPL_H
#define PVIO_GUEST_PCI_IMPL_H

#include "pci.h"

#include "core/virtio.h"

#include <linux/virtio_pci.h>

/* In the common configuration since virtio 1.2. */
#ifndef VIRTIO_PCI_COMMON_Q_NDATA
#define VIRTIO_PCI_COMMON_Q_NDATA 56
#define VIRTIO_PCI_COMMON_Q_RESET 58
#endif

/* What every device has of it, and with the fields above (4.1.4.3). */
#define GUEST_PCI_COMMON_BYTES      56
#define GUEST_PCI_COMMON_FULL_BYTES 60

#endif
