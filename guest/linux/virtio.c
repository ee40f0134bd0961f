// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio.c - a device of the bus as a virtio device of Linux
 *
 * Each operation of the transport is a message.  A device that has gone, or
 * whose bus has, keeps the status it had, and is read as zeroes: drivers find
 * out by broken queues.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pvio_bus.h"

/* Bytes of configuration in one message. */
#define GET_CONFIG_MAX                                                         \
	(PVIO_BUS_MAX_MESSAGE - sizeof(struct pvio_bus_header) -               \
	 sizeof(struct pvio_bus_config))
/* Linux negotiates 64 features. */
#define FEATURE_BLOCKS 2

struct config_message {
	struct pvio_bus_config head;
	u8 bytes[GET_CONFIG_MAX];
};

int pvio_vdev_call(struct pvio_vdev *pv, u8 message, const void *in,
		   size_t in_bytes, void *out, size_t out_bytes)
{
	if (READ_ONCE(pv->is_removed))
		return -ENODEV;
	return pvio_call(pv->bus, 0, message, pv->number, in, in_bytes, out,
			 out_bytes);
}

/* --- configuration --------------------------------------------------------- */

static void vdev_get(struct virtio_device *vdev, unsigned int offset, void *buf,
		     unsigned int len)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_bus_get_config_in in;
	struct config_message out;
	int rc;

	mutex_lock(&pv->config_lock);
	for (; len; offset += in.length, buf += in.length, len -= in.length) {
		in.offset = offset;
		in.length = min_t(u32, len, GET_CONFIG_MAX);
		rc = pvio_vdev_call(pv, PVIO_BUS_GET_CONFIG, &in, sizeof(in),
				    &out, sizeof(out.head) + in.length);
		if (rc) {
			memset(buf, 0, len);
			break;
		}
		memcpy(buf, out.bytes, in.length);
		pv->generation = out.head.generation;
	}
	mutex_unlock(&pv->config_lock);
}

static void vdev_set(struct virtio_device *vdev, unsigned int offset,
		     const void *buf, unsigned int len)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct config_message message, out;
	u32 n;
	int rc;

	for (; len; offset += n, buf += n, len -= n) {
		n = min_t(u32, len, GET_CONFIG_MAX);
		message.head.generation = U32_MAX;
		message.head.offset = offset;
		message.head.length = n;
		memcpy(message.bytes, buf, n);
		rc = pvio_vdev_call(pv, PVIO_BUS_SET_CONFIG, &message,
				    sizeof(message.head) + n, &out,
				    sizeof(out.head) + n);
		if (rc) {
			dev_warn_ratelimited(&vdev->dev,
					     "%u bytes at %u not written: %d\n",
					     n, offset, rc);
			return;
		}
	}
}

/*
 * Each answer to GET_CONFIG has the generation with the bytes, so the one that
 * was seen last is as good as a new one: had there been a change between two
 * reads, the second has told of it.
 */
static u32 vdev_generation(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	u32 generation;

	mutex_lock(&pv->config_lock);
	generation = pv->generation;
	mutex_unlock(&pv->config_lock);
	return generation;
}

/* --- status and features --------------------------------------------------- */

static u8 vdev_get_status(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_bus_status out;

	if (!pvio_vdev_call(pv, PVIO_BUS_GET_DEVICE_STATUS, NULL, 0, &out,
			    sizeof(out)))
		pv->status = out.status;
	return pv->status;
}

static int status_write(struct pvio_vdev *pv, u8 status)
{
	struct pvio_bus_status in = { .status = status }, out;
	int rc;

	rc = pvio_vdev_call(pv, PVIO_BUS_SET_DEVICE_STATUS, &in, sizeof(in),
			    &out, sizeof(out));
	if (!rc)
		pv->status = out.status;
	return rc;
}

static void vdev_set_status(struct virtio_device *vdev, u8 status)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	int rc;

	/* Zero is a reset, and waits. */
	if (WARN_ON(!status))
		return;
	rc = status_write(pv, status);
	if (rc && rc != -ENODEV)
		dev_warn(&vdev->dev, "status %02x was refused: %d\n", status,
			 rc);
}

/* The device may have requests to finish: their memory is its own until then. */
static void vdev_reset(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_bus_status out;
	unsigned int ms = 0;
	int rc;

	rc = status_write(pv, 0);
	while (!rc && pv->status) {
		msleep(1);
		if (++ms % (10 * MSEC_PER_SEC) == 0)
			dev_warn(&vdev->dev, "still not reset: status %02x\n",
				 pv->status);
		rc = pvio_vdev_call(pv, PVIO_BUS_GET_DEVICE_STATUS, NULL, 0,
				    &out, sizeof(out));
		if (!rc)
			pv->status = out.status;
	}
	if (rc)
		pv->status = 0;
	/* Interrupts that are on their way have come. */
	pvio_synchronize_cbs(vdev);
}

static u64 vdev_get_features(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_bus_features out;
	u32 in[2] = { 0, FEATURE_BLOCKS };

	if (pvio_vdev_call(pv, PVIO_BUS_GET_DEVICE_FEATURES, in, sizeof(in),
			   &out, offsetof(struct pvio_bus_features,
					  bits[FEATURE_BLOCKS])))
		return 0;
	return out.bits[0] | (u64)out.bits[1] << 32;
}

static int vdev_finalize_features(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	bool has_ring_reset = vdev->features & BIT_ULL(PVIO_F_RING_RESET);
	struct pvio_bus_features in = {
		.nr_blocks = FEATURE_BLOCKS,
	};

	/* What the rings can do; what is left is for the transport to keep. */
	vring_transport_features(vdev);
	__virtio_clear_bit(vdev, PVIO_F_NOTIFICATION_DATA);
	if (has_ring_reset)
		__virtio_set_bit(vdev, PVIO_F_RING_RESET);
	if (!__virtio_test_bit(vdev, VIRTIO_F_VERSION_1)) {
		dev_err(&vdev->dev, "not a device of virtio 1\n");
		return -EINVAL;
	}
	in.bits[0] = lower_32_bits(vdev->features);
	in.bits[1] = upper_32_bits(vdev->features);
	return pvio_vdev_call(pv, PVIO_BUS_SET_DRIVER_FEATURES, &in,
			      offsetof(struct pvio_bus_features,
				       bits[FEATURE_BLOCKS]),
			      NULL, 0);
}

/* --- the rest -------------------------------------------------------------- */

static const char *vdev_bus_name(struct virtio_device *vdev)
{
	return dev_name(to_pvio_vdev(vdev)->bus->dev);
}

static bool vdev_get_shm_region(struct virtio_device *vdev,
				struct virtio_shm_region *region, u8 id)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_bus_shm_out out;
	u32 in = id;

	if (pvio_vdev_call(pv, PVIO_BUS_GET_SHM, &in, sizeof(in), &out,
			   sizeof(out)) ||
	    !out.length || out.length == U64_MAX)
		return false;
	region->addr = out.address;
	region->len = out.length;
	return true;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define vdev_find_vqs pvio_find_vqs
#else
static int vdev_find_vqs(struct virtio_device *vdev, unsigned int nr,
			 struct virtqueue *vqs[], vq_callback_t *callbacks[],
			 const char *const names[], const bool *ctx,
			 struct irq_affinity *desc)
{
	struct virtqueue_info *infos;
	unsigned int i;
	int rc;

	infos = kcalloc(nr, sizeof(*infos), GFP_KERNEL);
	if (!infos)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		infos[i].name = names[i];
		infos[i].callback = callbacks[i];
		infos[i].ctx = ctx && ctx[i];
	}
	rc = pvio_find_vqs(vdev, nr, vqs, infos, desc);
	kfree(infos);
	return rc;
}
#endif

static const struct virtio_config_ops vdev_ops = {
	.get = vdev_get,
	.set = vdev_set,
	.generation = vdev_generation,
	.get_status = vdev_get_status,
	.set_status = vdev_set_status,
	.reset = vdev_reset,
	.find_vqs = vdev_find_vqs,
	.del_vqs = pvio_del_vqs,
	.synchronize_cbs = pvio_synchronize_cbs,
	.get_features = vdev_get_features,
	.finalize_features = vdev_finalize_features,
	.bus_name = vdev_bus_name,
	.set_vq_affinity = pvio_set_vq_affinity,
	.get_vq_affinity = pvio_get_vq_affinity,
	.get_shm_region = vdev_get_shm_region,
	.disable_vq_and_reset = pvio_disable_vq_and_reset,
	.enable_vq_after_reset = pvio_enable_vq_after_reset,
};

static void vdev_release(struct device *dev)
{
	kfree(to_pvio_vdev(dev_to_virtio(dev)));
}

/* Returns the device, which unregister_virtio_device() frees; or ERR_PTR(). */
struct pvio_vdev *pvio_vdev_register(struct pvio_bus *bus, u16 number,
				     const struct pvio_bus_device_info_out *info)
{
	struct pvio_vdev *pv;
	int rc;

	pv = kzalloc(sizeof(*pv), GFP_KERNEL);
	if (!pv)
		return ERR_PTR(-ENOMEM);
	pv->bus = bus;
	pv->number = number;
	pv->nr_queues = info->nr_queues;
	pv->config_bytes = info->config_size;
	pv->config_signal = PVIO_NO_SIGNAL;
	mutex_init(&pv->config_lock);
	INIT_LIST_HEAD(&pv->queues);
	pvio_target_init(&pv->config);
	pv->config.kind = PVIO_FOR_CONFIG;
	pv->config.vdev = &pv->vdev;
	pv->vdev.id.device = info->device_id;
	pv->vdev.id.vendor = info->vendor_id;
	pv->vdev.config = &vdev_ops;
	/* Rings and buffers are mapped for the function that reads them. */
	pv->vdev.dev.parent = bus->dev;
	pv->vdev.dev.release = vdev_release;
	rc = register_virtio_device(&pv->vdev);
	if (rc) {
		put_device(&pv->vdev.dev);
		return ERR_PTR(rc);
	}
	return pv;
}
