/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-rig.h - a probe device as a PCI function, and a VMM of few words
 *
 *	pci_rig_setup()          one worker for everything, stepped by the test
 *	pci_rig_setup_threads()  control and queues' workers on threads
 *	pci_rig_run(bits)        all that a driver does, up to DRIVER_OK
 *
 * Registers are accessed one by one, by the test: what a driver may not do can
 * be done here.
 */
#ifndef PVIO_TESTS_PCI_RIG_H
#define PVIO_TESTS_PCI_RIG_H

#include "tests/regs-rig.h"

#include <pvio/pci.h>

#define PCI_RIG_VECTORS	  (PROBE_QUEUES + 1)

/* Configuration space, where the function of ours has it. */
#define CFG_COMMAND	 0x04
#define CFG_STATUS	 0x06
#define CFG_BAR0	 0x10
#define CFG_BAR4	 0x20
#define CFG_MSIX_CONTROL 0x42
#define CFG_WINDOW	 0x90
#define CFG_POWER	 0xa8
#define CFG_EXPRESS	 0xac
#define CFG_DEVICE_CONTROL 0xb4

#define CMD_MEMORY	 0x2
#define CMD_MASTER	 0x4
#define CMD_INTX_DISABLE 0x400

/* Common configuration (virtio 1.4, 4.1.4.3). */
#define REG_DEVICE_SELECT   0x00
#define REG_DEVICE_FEATURE  0x04
#define REG_DRIVER_SELECT   0x08
#define REG_DRIVER_FEATURE  0x0c
#define REG_CONFIG_VECTOR   0x10
#define REG_NUM_QUEUES	    0x12
#define REG_STATUS	    0x14
#define REG_GENERATION	    0x15
#define REG_QUEUE_SELECT    0x16
#define REG_QUEUE_SIZE	    0x18
#define REG_QUEUE_VECTOR    0x1a
#define REG_QUEUE_ENABLE    0x1c
#define REG_QUEUE_NOTIFY    0x1e
#define REG_QUEUE_DESC	    0x20
#define REG_QUEUE_DRIVER    0x28
#define REG_QUEUE_DEVICE    0x30
#define REG_NOTIFY_DATA	    0x38
#define REG_QUEUE_RESET	    0x3a
#define REG_ISR		    0x1000
#define REG_DEVICE	    0x2000
#define REG_NOTIFY	    0x3000

struct pci_rig {
	struct pvio_pci *pci;
	/* what the host was told; atomic */
	unsigned int msix[PCI_RIG_VECTORS];
	unsigned int changed; /* vectors */
	bool intx;
	unsigned int intx_ups;
	unsigned int moves;
	struct {
		uint64_t address;
		bool is_enabled;
	} bar[PVIO_PCI_NR_BARS];
};

extern struct pci_rig prig;

#define PCI_RIG_CONFIG                     \
	"model = \"probe\"; queues = 4;"   \
	"transport = { type = \"pci\"; };"

void pci_rig_setup(void);
void pci_rig_setup_threads(void);

uint32_t cfg_read(size_t offset, size_t len);
void cfg_write(size_t offset, size_t len, uint32_t value);
uint64_t reg_read(uint64_t offset, size_t len);
void reg_write(uint64_t offset, size_t len, uint64_t value);

/* Memory decoding and bus mastering on. */
void pci_rig_enable(void);
/* Reset, and wait until the status reads 0. */
void pci_rig_reset(void);
/* Up to FEATURES_OK with VERSION_1 and @bits; the status that came of it. */
uint8_t pci_rig_negotiate(uint64_t bits);
/* MSI-X on, every vector unmasked; 0xfee00000 + vector, data 0x40 + vector. */
void pci_rig_enable_msix(void);
/* A new ring for queue @q, in the registers but not enabled. */
void pci_rig_layout(unsigned int q, uint16_t size, uint16_t vector);
/* The same, and enabled: true if that reads back. */
bool pci_rig_start_queue(unsigned int q, uint16_t size);
void pci_rig_driver_ok(void);
/* All of it.  Queue q has vector q + 1, configuration 0. */
void pci_rig_run(uint64_t bits);

/* Make the rig's buffer available on @q, and ring its doorbell. */
void pci_rig_submit(unsigned int q);
/* Submit, wait until it is used, and take it: it was echoed. */
void pci_rig_echo(unsigned int q);

#endif
