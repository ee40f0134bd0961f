/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pvio_bus.h - Linux driver of the pvio bus
 *
 *   pci.c, platform.c   find a bus, its window and its interrupts
 *   connector.c         the three operations: registers, MSR, hypercall
 *   call.c              messages to the device, and their answers
 *   signal.c            signal areas: kicks and interrupts
 *   bus.c, events.c     a bus from PROBE to RESET; devices come and go
 *   virtio.c, queue.c   each device as an ordinary virtio device
 *
 * docs/bus-abi.md is what both sides keep to; sections are quoted from there.
 */
#ifndef PVIO_BUS_H
#define PVIO_BUS_H

#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <linux/workqueue.h>

#include <pvio/bus-abi.h>

#ifdef __BIG_ENDIAN
#error "The bus is little-endian, and so must be the kernel."
#endif

/* Words of a level in our areas: enough for every signal. */
#define PVIO_NR_WORDS (PVIO_BUS_MAX_SIGNALS / 64)
#define PVIO_AREA_BYTES                                                        \
	(sizeof(struct pvio_bus_area) + 8 * PVIO_BUS_LEVELS * PVIO_NR_WORDS)

/* Levels (section 4): nothing waits behind what happens rarely. */
#define PVIO_LEVEL_QUEUE   1
#define PVIO_LEVEL_CONTROL 2

#define PVIO_NO_SIGNAL U32_MAX

/* Features that headers of 6.1 do not have. */
#define PVIO_F_NOTIFICATION_DATA 38
#define PVIO_F_RING_RESET	 40

struct pvio_bus;
struct pvio_vdev;

/* The operations of section 1.  @call and @doorbell do not sleep. */
struct pvio_connector {
	const char *name;
	u64 (*probe)(struct pvio_bus *bus);
	int (*call)(struct pvio_bus *bus, u64 block);
	void (*doorbell)(struct pvio_bus *bus, u32 what);
	/* Wait until the last call is done; -ENODEV: nobody is there. */
	int (*settle)(struct pvio_bus *bus);
};

extern const struct pvio_connector pvio_connector_registers;
const struct pvio_connector *pvio_connector_find(struct pvio_bus *bus);

/* Shown in sysfs, each of them the sum over all CPUs. */
struct pvio_counters {
	u64 calls;
	u64 doorbells;	/* the operation; each leaves the guest */
	u64 interrupts;
	u64 signals;	/* taken from notify areas */
	u64 raised;	/* in kick areas, those that were pending included */
	u64 coalesced;	/* of these: pending already */
};

#define pvio_count(bus, counter) this_cpu_inc((bus)->counters->counter)

extern const struct attribute_group *pvio_bus_groups[];

/* What a signal stands for.  Served in interrupts, one at a time. */
struct pvio_target {
	enum { PVIO_FOR_BUS, PVIO_FOR_CONFIG, PVIO_FOR_QUEUE } kind;
	union {
		struct pvio_bus *bus;
		struct virtio_device *vdev;
		struct virtqueue *vq;
	};
	spinlock_t lock; /* a signal that moves may be taken by two CPUs */
};

/* A notify queue that has an area: its consumer is one interrupt. */
struct pvio_notify {
	struct pvio_bus *bus;
	struct pvio_bus_area *area;
	dma_addr_t address;
	unsigned int index;
	unsigned int cpu; /* where its interrupt goes by default */
	int irq;	  /* 0: not requested */
	struct irq_work again;
	struct tasklet_struct late;
	char name[48];
};

struct pvio_kick {
	struct pvio_bus_area *area;
	dma_addr_t address;
};

struct pvio_bus {
	struct device *dev;
	const struct pvio_connector *connector;
	void __iomem *regs;
	u32 msr;	/* base */
	int *irqs;	/* by number of the notify queue */
	unsigned int nr_irqs;
	struct pvio_bus_info_out info;
	struct pvio_counters __percpu *counters;

	struct mutex call_lock; /* of the call block and the token */
	struct pvio_bus_call *block;
	dma_addr_t block_address;
	u16 token;
	bool is_dead; /* a call was not answered: never written to again */
	bool is_gone; /* ... since there is no device any more */

	/* Fixed while a device exists. */
	struct pvio_notify *notify;
	unsigned int nr_notify;
	struct pvio_kick *kick;
	unsigned int nr_kick;
	bool is_direct;		 /* delivery=direct */
	unsigned long *direct;	 /* notify queues without area, in use */
	bool kicks_directly;	 /* doorbell=direct */
	bool lingers;		 /* linger=1 */
	struct pvio_target **targets; /* by signal */
	struct mutex targets_lock;    /* of changes to @targets and @direct */

	struct mutex devices_lock; /* of these, outermost */
	struct list_head devices;
	bool is_running;
	struct pvio_target events;
	struct work_struct work;
};

/* A device of the bus. */
struct pvio_vdev {
	struct virtio_device vdev;
	struct pvio_bus *bus;
	struct list_head node;
	u16 number;
	u8 status;	/* as the device said last */
	bool is_removed;
	u32 nr_queues;
	u32 config_bytes;
	struct mutex config_lock; /* of @generation */
	u32 generation;		  /* of what was read last */
	struct pvio_target config;
	u32 config_signal;
	struct list_head queues;
};

#define to_pvio_vdev(v) container_of(v, struct pvio_vdev, vdev)

/* A queue, from find_vqs to del_vqs. */
struct pvio_queue {
	struct virtqueue *vq;
	struct pvio_vdev *pv;
	struct list_head node;
	struct pvio_target target;
	u32 signal;
	u32 kick_queue;
	bool is_published;   /* in bus->targets */
	bool has_interrupts; /* the driver wants any */
	bool is_spread;	     /* @affinity covers the CPUs with its fellows */
	unsigned int notify; /* queue by default, or its own */
	int irq;	     /* its own, or 0 */
	cpumask_var_t affinity;
	char name[48];
};

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	bool ctx;
};
#endif

/* call.c */
int pvio_call(struct pvio_bus *bus, u8 type, u8 message, u16 device,
	      const void *in, size_t in_bytes, void *out, size_t out_bytes);
int pvio_call_bus(struct pvio_bus *bus, u8 message, const void *in,
		  size_t in_bytes, void *out, size_t out_bytes);
int pvio_route(struct pvio_bus *bus, struct pvio_bus_route_in *in,
	       struct pvio_bus_route_out *out);

/* signal.c */
int pvio_signals_start(struct pvio_bus *bus);
void pvio_signals_stop(struct pvio_bus *bus);
int pvio_areas_set(struct pvio_bus *bus);
void pvio_areas_unset(struct pvio_bus *bus);
void pvio_kick(struct pvio_bus *bus, u32 kick_queue, u32 signal);
void pvio_target_init(struct pvio_target *target);
void pvio_target_serve(struct pvio_target *target);
int pvio_target_publish(struct pvio_bus *bus, u32 signal,
			struct pvio_target *target);
void pvio_target_withdraw(struct pvio_bus *bus, u32 signal);
void pvio_signals_sync(struct pvio_bus *bus);
unsigned int pvio_notify_of_cpu(struct pvio_bus *bus, unsigned int cpu);

/* bus.c: in this order; stop and close are for a bus that was started. */
int pvio_bus_open(struct pvio_bus *bus);
unsigned int pvio_bus_irqs_wanted(struct pvio_bus *bus);
int pvio_bus_start(struct pvio_bus *bus);
void pvio_bus_stop(struct pvio_bus *bus);
void pvio_bus_close(struct pvio_bus *bus);
void pvio_bus_shutdown(struct pvio_bus *bus);
#ifdef CONFIG_PM_SLEEP
int pvio_bus_suspend(struct device *dev);
int pvio_bus_resume(struct device *dev);
#endif
struct pvio_bus *pvio_bus_alloc(struct device *dev);
void pvio_bus_lost(struct pvio_bus *bus, bool is_gone);

/* events.c */
extern struct workqueue_struct *pvio_workqueue;
void pvio_events_work(struct work_struct *work);
int pvio_devices_find(struct pvio_bus *bus);
void pvio_devices_forget(struct pvio_bus *bus);
void pvio_device_remove(struct pvio_vdev *pv, bool is_removed);

/* virtio.c */
struct pvio_vdev *pvio_vdev_register(struct pvio_bus *bus, u16 number,
				     const struct pvio_bus_device_info_out *info);
int pvio_vdev_call(struct pvio_vdev *pv, u8 message, const void *in,
		   size_t in_bytes, void *out, size_t out_bytes);

/* queue.c */
int pvio_find_vqs(struct virtio_device *vdev, unsigned int nr,
		  struct virtqueue *vqs[], struct virtqueue_info infos[],
		  struct irq_affinity *desc);
void pvio_del_vqs(struct virtio_device *vdev);
void pvio_synchronize_cbs(struct virtio_device *vdev);
int pvio_set_vq_affinity(struct virtqueue *vq, const struct cpumask *mask);
const struct cpumask *pvio_get_vq_affinity(struct virtio_device *vdev,
					   int index);
int pvio_disable_vq_and_reset(struct virtqueue *vq);
int pvio_enable_vq_after_reset(struct virtqueue *vq);

/* main.c: parameters of the module, and where buses are found */
bool pvio_delivers_directly(void);
bool pvio_kicks_directly(void);
bool pvio_lingers(void);
int pvio_pci_register(void);
void pvio_pci_unregister(void);
int pvio_platform_register(void);
void pvio_platform_unregister(void);

#endif
