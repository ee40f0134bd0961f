/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kvm.h - doorbells and interrupts of a device by KVM, without the VMM
 *
 *	kick        guest's write -> ioeventfd -> the queue's worker
 *	interrupt   the queue's worker -> irqfd -> guest
 *
 * A few lines on top of KVM's own ioctls, for VMMs that have nothing better;
 * nothing in the library needs them, and no other header knows of KVM.  All
 * return 0 or -errno and may be called from any thread and from the callbacks
 * of pvio/pci.h.  @vm_fd is the VM's.
 */
#ifndef PVIO_KVM_H
#define PVIO_KVM_H

#include <errno.h>
#include <linux/kvm.h>
#include <pvio/doorbell.h>
#include <pvio/pci.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One KVM_IOEVENTFD; pvio_kvm_bind_doorbell() is what a VMM calls. */
static inline int pvio_kvm_ioeventfd(int vm_fd,
				     const struct pvio_doorbell *doorbell,
				     uint64_t base, uint32_t len, bool is_bound)
{
	struct kvm_ioeventfd io;

	memset(&io, 0, sizeof(io));
	io.addr = base + doorbell->offset;
	io.len = len;
	io.fd = doorbell->fd;
	if (doorbell->has_match) {
		io.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		io.datamatch = doorbell->match;
	}
	if (!is_bound)
		io.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	return ioctl(vm_fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

/*
 * Let KVM turn the guest's writes to @doorbell into its eventfd, or
 * (@is_bound false) no longer.  @base is the guest-physical address of the
 * doorbell's BAR or register page: when the guest moves a BAR, unbind at the
 * old address and bind at the new one.  -EEXIST: something is bound there.
 */
static inline int pvio_kvm_bind_doorbell(int vm_fd,
					 const struct pvio_doorbell *doorbell,
					 uint64_t base, bool is_bound)
{
	int rc, rc4;

	if (doorbell->width != 0)
		return pvio_kvm_ioeventfd(vm_fd, doorbell, base,
					  doorbell->width, is_bound);
	/* Writes of 2 and of 4 bytes: one binding that takes any, or two. */
	if (!doorbell->has_match &&
	    ioctl(vm_fd, KVM_CHECK_EXTENSION,
		  KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0)
		return pvio_kvm_ioeventfd(vm_fd, doorbell, base, 0, is_bound);
	rc = pvio_kvm_ioeventfd(vm_fd, doorbell, base, 2, is_bound);
	if (rc < 0 && is_bound)
		return rc;
	/* Unbinding, the one goes whatever became of the other. */
	rc4 = pvio_kvm_ioeventfd(vm_fd, doorbell, base, 4, is_bound);
	if (rc4 < 0 && is_bound)
		pvio_kvm_ioeventfd(vm_fd, doorbell, base, 2, false);
	return rc < 0 ? rc : rc4;
}

/*
 * Let KVM raise interrupt @gsi whenever eventfd @trigger is written, or
 * (@is_assigned false) no longer.  With @resample >= 0 the line stays up until
 * the guest has acknowledged it, then that eventfd is written: give both to
 * pvio_pci_set_intx_fds().  For a message of MSI-X @resample is -1.
 */
static inline int pvio_kvm_irqfd(int vm_fd, uint32_t gsi, int trigger,
				 int resample, bool is_assigned)
{
	struct kvm_irqfd irq;

	memset(&irq, 0, sizeof(irq));
	irq.fd = (uint32_t)trigger;
	irq.gsi = gsi;
	if (resample >= 0) {
		irq.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		irq.resamplefd = (uint32_t)resample;
	}
	if (!is_assigned)
		irq.flags |= KVM_IRQFD_FLAG_DEASSIGN;
	return ioctl(vm_fd, KVM_IRQFD, &irq) < 0 ? -errno : 0;
}

/*
 * The entry of a table for KVM_SET_GSI_ROUTING that has @gsi deliver the
 * message of @vector.  For the callback msix_changed, when it is not masked.
 */
static inline void pvio_kvm_msi_route(struct kvm_irq_routing_entry *entry,
				      uint32_t gsi,
				      const struct pvio_pci_vector *vector)
{
	memset(entry, 0, sizeof(*entry));
	entry->gsi = gsi;
	entry->type = KVM_IRQ_ROUTING_MSI;
	entry->u.msi.address_lo = (uint32_t)vector->address;
	entry->u.msi.address_hi = (uint32_t)(vector->address >> 32);
	entry->u.msi.data = vector->data;
}

#ifdef __cplusplus
}
#endif
#endif
