// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - windows on another virtual machine's memory, for user space
 *
 *	ivshmem-doorbell  1af4:1110, revision 1  BAR 0 registers  BAR 2 window
 *	pvio's window     1234:7077              BAR 1 registers  BAR 2 window
 *
 * Both have interrupts by MSI-X only, and a doorbell in their registers.  Where
 * there is an IOMMU, VFIO does the same but for one thing: it maps the window
 * uncached.  That costs nothing where the hypervisor overrides it, and a lot
 * where it does not.  Here it is cacheable, unless the firmware has put it where
 * its MTRRs say otherwise, below 4 GiB.
 *
 * struct window is the driver's until the function goes, and whoever has it open
 * keeps it after that.  `lock` orders the function's going and everything that
 * needs it: `pdev` is NULL after it.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include <pvio/window-module.h>

#define WINDOW_BAR     2
#define REGISTERS_PAGE PHYS_PFN(PVIO_WINDOW_REGISTERS)

struct window_vector {
	/* Read by the interrupt handler; written with `lock`. */
	struct eventfd_ctx *eventfd;
	int irq;
	bool is_requested;
};

struct window {
	struct kref kref;
	struct miscdevice misc;
	char name[32];
	struct mutex lock; /* of all below */
	struct pci_dev *pdev; /* NULL: gone */
	struct address_space *mapping; /* of who has it open, or NULL */
	wait_queue_head_t gone;
	struct page *spare; /* what is there instead, when it has gone */
	unsigned int registers_bar;
	struct resource rest; /* of the registers' page; parent NULL: none */
	unsigned int nr_vectors;
	struct window_vector *vector; /* freed with the function */
	void *cached; /* the window, so that it is known to be cacheable */
};

static void window_free(struct kref *kref)
{
	struct window *window = container_of(kref, struct window, kref);

	__free_page(window->spare);
	kfree(window);
}

/* --- interrupts ------------------------------------------------------------ */

static irqreturn_t vector_interrupt(int irq, void *data)
{
	struct window_vector *vector = data;
	struct eventfd_ctx *eventfd = READ_ONCE(vector->eventfd);

	if (eventfd) {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
		eventfd_signal(eventfd);
#else
		eventfd_signal(eventfd, 1);
#endif
	}
	return IRQ_HANDLED;
}

/*
 * Takes @eventfd; NULL: nothing.  The interrupt is there only while somebody
 * wants it: until then the function keeps it pending.
 */
static int vector_bind(struct window *window, struct window_vector *vector,
		       struct eventfd_ctx *eventfd)
{
	struct eventfd_ctx *before = vector->eventfd;
	int rc = 0;

	WRITE_ONCE(vector->eventfd, eventfd);
	if (eventfd && !vector->is_requested) {
		rc = request_irq(vector->irq, vector_interrupt, 0,
				 window->name, vector);
		if (rc)
			WRITE_ONCE(vector->eventfd, NULL);
		else
			vector->is_requested = true;
	} else if (!eventfd && vector->is_requested) {
		free_irq(vector->irq, vector);
		vector->is_requested = false;
	} else if (before) {
		/* A handler may be about to signal it. */
		synchronize_irq(vector->irq);
	}
	if (rc)
		before = eventfd;
	if (before)
		eventfd_ctx_put(before);
	return rc;
}

static void window_unbind_all(struct window *window)
{
	unsigned int i;

	for (i = 0; i < window->nr_vectors; i++)
		vector_bind(window, &window->vector[i], NULL);
}

static int vectors_alloc(struct window *window)
{
	struct pci_dev *pdev = window->pdev;
	int nr, i;

	nr = pci_alloc_irq_vectors(pdev, 1, max(pci_msix_vec_count(pdev), 1),
				   PCI_IRQ_MSIX);
	if (nr < 0) {
		dev_err(&pdev->dev, "no MSI-X: %d\n", nr);
		return nr;
	}
	window->vector = kcalloc(nr, sizeof(*window->vector), GFP_KERNEL);
	if (!window->vector) {
		pci_free_irq_vectors(pdev);
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++)
		window->vector[i].irq = pci_irq_vector(pdev, i);
	window->nr_vectors = nr;
	return 0;
}

/* --- the device node ------------------------------------------------------- */

static int window_open(struct inode *inode, struct file *file)
{
	/* Nobody opens it any more once misc_deregister() has returned. */
	struct window *window =
		container_of(file->private_data, struct window, misc);
	int rc = 0;

	mutex_lock(&window->lock);
	if (!window->pdev) {
		rc = -ENODEV;
	} else if (window->mapping) {
		rc = -EBUSY;
	} else {
		window->mapping = file->f_mapping;
		kref_get(&window->kref);
		file->private_data = window;
	}
	mutex_unlock(&window->lock);
	return rc;
}

static int window_release(struct inode *inode, struct file *file)
{
	struct window *window = file->private_data;

	mutex_lock(&window->lock);
	window->mapping = NULL;
	if (window->pdev)
		window_unbind_all(window);
	mutex_unlock(&window->lock);
	kref_put(&window->kref, window_free);
	return 0;
}

static int window_get_info(struct window *window, struct pvio_window_info *info)
{
	int rc = -ENODEV;

	mutex_lock(&window->lock);
	if (window->pdev) {
		info->bytes = pci_resource_len(window->pdev, WINDOW_BAR);
		info->vectors = window->nr_vectors;
		rc = 0;
	}
	mutex_unlock(&window->lock);
	return rc;
}

static int window_bind(struct window *window,
		       const struct pvio_window_bind *bind)
{
	struct eventfd_ctx *eventfd = NULL;
	int rc = -ENODEV;

	if (bind->eventfd < -1)
		return -EINVAL;
	if (bind->eventfd >= 0) {
		eventfd = eventfd_ctx_fdget(bind->eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}
	mutex_lock(&window->lock);
	if (window->pdev && bind->vector < window->nr_vectors) {
		rc = vector_bind(window, &window->vector[bind->vector],
				 eventfd);
		eventfd = NULL;
	} else if (window->pdev) {
		rc = -EINVAL;
	}
	mutex_unlock(&window->lock);
	if (eventfd)
		eventfd_ctx_put(eventfd);
	return rc;
}

static long window_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct window *window = file->private_data;
	void __user *user = (void __user *)arg;
	struct pvio_window_info info = {};
	struct pvio_window_bind bind;
	int rc;

	switch (cmd) {
	case PVIO_WINDOW_GET_INFO:
		rc = window_get_info(window, &info);
		if (!rc && copy_to_user(user, &info, sizeof(info)))
			rc = -EFAULT;
		return rc;
	case PVIO_WINDOW_BIND:
		if (copy_from_user(&bind, user, sizeof(bind)))
			return -EFAULT;
		return window_bind(window, &bind);
	default:
		return -ENOTTY;
	}
}

static __poll_t window_poll(struct file *file, poll_table *table)
{
	struct window *window = file->private_data;

	poll_wait(file, &window->gone, table);
	return READ_ONCE(window->pdev) ? 0 : EPOLLHUP | EPOLLERR;
}

/* --- mappings -------------------------------------------------------------- */

/* The BAR that a page of the node's is in, and which of its pages it is. */
static unsigned int page_bar(struct window *window, pgoff_t *page)
{
	if (*page < REGISTERS_PAGE)
		return WINDOW_BAR;
	*page -= REGISTERS_PAGE;
	return window->registers_bar;
}

static pgoff_t bar_pages(struct window *window, unsigned int bar)
{
	return PHYS_PFN(PAGE_ALIGN(pci_resource_len(window->pdev, bar)));
}

/*
 * Map what is around the page.  Here and not in mmap(), because a mapping is
 * found by unmap_mapping_range() only when that has returned.
 *
 * Who has not heard yet that the function has gone finds zeroes, and not its
 * end by SIGBUS.
 */
static vm_fault_t window_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct window *window = vma->vm_private_data;
	unsigned long from = max(vmf->address & PMD_MASK, vma->vm_start);
	unsigned long to = from + (PMD_SIZE - (from & ~PMD_MASK)), at;
	vm_fault_t rc;
	pgoff_t page = vma->vm_pgoff;
	unsigned int bar;

	to = to && to < vma->vm_end ? to : vma->vm_end;
	mutex_lock(&window->lock);
	if (!window->pdev) {
		rc = vmf_insert_pfn(vma, vmf->address & PAGE_MASK,
				    page_to_pfn(window->spare));
		goto unlock;
	}
	bar = page_bar(window, &page);
	if (page + vma_pages(vma) > bar_pages(window, bar)) {
		rc = VM_FAULT_SIGBUS;
		goto unlock;
	}
	page += PHYS_PFN(pci_resource_start(window->pdev, bar));
	for (at = from; at < to; at += PAGE_SIZE) {
		rc = vmf_insert_pfn(vma, at,
				    page + PHYS_PFN(at - vma->vm_start));
		if (rc != VM_FAULT_NOPAGE)
			break;
	}
unlock:
	mutex_unlock(&window->lock);
	return rc;
}

static const struct vm_operations_struct window_vm_ops = {
	.fault = window_fault,
};

static int window_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct window *window = file->private_data;
	const vm_flags_t flags =
		VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP;
	pgoff_t page = vma->vm_pgoff, pages;
	unsigned int bar;
	int rc = 0;

	/* A private one would be copied from, when written to. */
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	mutex_lock(&window->lock);
	bar = page_bar(window, &page);
	if (!window->pdev) {
		rc = -ENODEV;
	} else {
		pages = bar_pages(window, bar);
		if (page >= pages || vma_pages(vma) > pages - page)
			rc = -EINVAL;
	}
	mutex_unlock(&window->lock);
	if (rc)
		return rc;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	if (bar != WINDOW_BAR)
		vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_private_data = window;
	vma->vm_ops = &window_vm_ops;
	return 0;
}

static const struct file_operations window_fops = {
	.owner = THIS_MODULE,
	.open = window_open,
	.release = window_release,
	.unlocked_ioctl = window_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = window_poll,
	.mmap = window_mmap,
};

/* --- the function ---------------------------------------------------------- */

static int window_check(struct window *window, struct pci_dev *pdev)
{
	/* One that is longer would reach to where the node has the registers. */
	if (!(pci_resource_flags(pdev, WINDOW_BAR) & IORESOURCE_MEM) ||
	    !(pci_resource_flags(pdev, window->registers_bar) &
	      IORESOURCE_MEM) ||
	    pci_resource_len(pdev, WINDOW_BAR) < PAGE_SIZE ||
	    pci_resource_len(pdev, WINDOW_BAR) > PVIO_WINDOW_REGISTERS) {
		dev_err(&pdev->dev, "not the BARs of a window\n");
		return -ENODEV;
	}
	return 0;
}

/*
 * What is in a page with the registers would be in their mapping, too.  So take
 * what they leave of it: nobody else's BAR is there then, nor comes there later.
 */
static int window_take_page(struct window *window, struct pci_dev *pdev)
{
	struct resource *registers = &pdev->resource[window->registers_bar];
	struct resource *rest = &window->rest;

	if (PAGE_ALIGNED(registers->start)) {
		if (PAGE_ALIGNED(registers->end + 1))
			return 0;
		rest->name = "pvio_window";
		rest->start = registers->end + 1;
		rest->end = PAGE_ALIGN(rest->start) - 1;
		rest->flags = registers->flags;
		if (!request_resource(registers->parent, rest))
			return 0;
	}
	dev_err(&pdev->dev,
		"BAR %u has no page of its own: boot with pci=resource_alignment=%u@%s\n",
		window->registers_bar, PAGE_SHIFT, pci_name(pdev));
	return -ENODEV;
}

static void window_give_page(struct window *window)
{
	if (window->rest.parent)
		release_resource(&window->rest);
}

static int window_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct window *window;
	int rc;

	/* ivshmem's before 1 had another ABI. */
	if (id->vendor == PCI_VENDOR_ID_REDHAT_QUMRANET && pdev->revision != 1)
		return -ENODEV;
	window = kzalloc(sizeof(*window), GFP_KERNEL);
	if (!window)
		return -ENOMEM;
	window->spare = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!window->spare) {
		kfree(window);
		return -ENOMEM;
	}
	kref_init(&window->kref);
	mutex_init(&window->lock);
	init_waitqueue_head(&window->gone);
	window->pdev = pdev;
	window->registers_bar = id->driver_data;
	rc = pci_enable_device(pdev);
	if (rc)
		goto put_window;
	rc = window_check(window, pdev);
	if (rc)
		goto disable;
	rc = window_take_page(window, pdev);
	if (rc)
		goto disable;
	rc = pci_request_regions(pdev, "pvio_window");
	if (rc)
		goto give_page;
	/*
	 * On x86 a page of a BAR is mapped as somebody has reserved it, and
	 * uncached if nobody has.  This reserves it all.
	 */
	window->cached = memremap(pci_resource_start(pdev, WINDOW_BAR),
				  pci_resource_len(pdev, WINDOW_BAR),
				  MEMREMAP_WB);
	if (!window->cached) {
		rc = -ENOMEM;
		goto release;
	}
	pci_set_master(pdev);
	rc = vectors_alloc(window);
	if (rc)
		goto unmap;
	pci_set_drvdata(pdev, window);
	snprintf(window->name, sizeof(window->name), "pvio-window-%s",
		 pci_name(pdev));
	window->misc.minor = MISC_DYNAMIC_MINOR;
	window->misc.name = window->name;
	window->misc.parent = &pdev->dev;
	window->misc.fops = &window_fops;
	window->misc.mode = 0600;
	rc = misc_register(&window->misc);
	if (rc)
		goto free_vectors;
	return 0;

free_vectors:
	pci_free_irq_vectors(pdev);
	kfree(window->vector);
unmap:
	pci_clear_master(pdev);
	memunmap(window->cached);
release:
	pci_release_regions(pdev);
give_page:
	window_give_page(window);
disable:
	pci_disable_device(pdev);
put_window:
	kref_put(&window->kref, window_free);
	return rc;
}

static void window_remove(struct pci_dev *pdev)
{
	struct window *window = pci_get_drvdata(pdev);
	struct address_space *mapping;

	misc_deregister(&window->misc);
	mutex_lock(&window->lock);
	window_unbind_all(window);
	WRITE_ONCE(window->pdev, NULL);
	/* With the lock: it is as long there as somebody has it open. */
	mapping = window->mapping;
	if (mapping)
		unmap_mapping_range(mapping, 0, 0, 1);
	mutex_unlock(&window->lock);
	wake_up_poll(&window->gone, EPOLLHUP | EPOLLERR);

	pci_free_irq_vectors(pdev);
	kfree(window->vector);
	pci_clear_master(pdev);
	memunmap(window->cached);
	pci_release_regions(pdev);
	window_give_page(window);
	pci_disable_device(pdev);
	kref_put(&window->kref, window_free);
}

static const struct pci_device_id window_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110), .driver_data = 0 },
	{ PCI_DEVICE(0x1234, 0x7077), .driver_data = 1 },
	{ 0 },
};
MODULE_DEVICE_TABLE(pci, window_ids);

static struct pci_driver window_driver = {
	.name = "pvio_window",
	.id_table = window_ids,
	.probe = window_probe,
	.remove = window_remove,
};
module_pci_driver(window_driver);

MODULE_DESCRIPTION("windows on another virtual machine's memory, for user space");
MODULE_AUTHOR("the pvio authors");
MODULE_LICENSE("GPL");
