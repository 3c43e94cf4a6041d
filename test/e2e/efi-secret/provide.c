/*
 * Stands in for the kernel that has CONFIG_EFI_COCO_SECRET: tells Linux's driver efi_secret where the firmware put the address of
 * the secret area, and gives it a device. For tests only.
 */
#include <linux/efi.h>
#include <linux/module.h>
#include <linux/platform_device.h>

/* Where the test puts struct linux_efi_coco_secret_area: address and size of the area. */
#define LOCATION 0x10001000

static struct platform_device *device;

static int __init provide(void)
{
	efi.coco_secret = LOCATION;
	device = platform_device_register_simple("efi_secret", 0, NULL, 0);
	return PTR_ERR_OR_ZERO(device);
}

static void __exit withdraw(void)
{
	platform_device_unregister(device);
}

module_init(provide);
module_exit(withdraw);
MODULE_LICENSE("GPL");
