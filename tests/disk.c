// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a command in a file system of its own, on a block device, for guests that have no
 * mkfs.
 *
 * usage: disk IMAGE COMMAND [ARGUMENT...]
 *   IMAGE  an ext2 file system in a file, which stays as it is
 *   COMMAND  a program, by its path; it starts in the file system's root
 *
 * A kernel without loop devices or ext2 runs the command where it is, and a line that
 * begins with # says so on stdout.
 *
 * Exit status: COMMAND's; 2 if there is no command, or if any of this failed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
static char dir[] = "/tmp/disk.XXXXXX";

static int copy_in_memory(const char *name)
{
	int from = open(name, O_RDONLY | O_CLOEXEC), to = memfd_create("disk", MFD_CLOEXEC);
	struct stat st;
	off_t off = 0;

	if (from < 0 || to < 0 || fstat(from, &st) || ftruncate(to, st.st_size))
		err(2, "%s", name);
	while (off < st.st_size)
		if (sendfile(to, from, &off, st.st_size - off) <= 0)
			err(2, "%s", name);
	close(from);
	return to;
}

/* Go to the root of the file system in @image: false if the kernel has no such thing */
static bool enter(const char *image)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop;
	char device[32];

	if (control < 0 && errno == ENOENT)
		return false;
	snprintf(device, sizeof(device), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
	loop = open(device, O_RDWR | O_CLOEXEC);
	config.fd = copy_in_memory(image);
	if (loop < 0 || ioctl(loop, LOOP_CONFIGURE, &config))
		err(2, "%s", device);
	/* Some kernels refuse to mount what is open for writing. */
	if (open(device, O_RDONLY | O_CLOEXEC) < 0 || close(loop))
		err(2, "%s", device);
	if (!mkdtemp(dir))
		err(2, "%s", dir);
	if (mount(device, dir, "ext2", 0, NULL)) {
		if (errno != ENODEV)
			err(2, "mount %s", device);
		return false;
	}
	if (chdir(dir))
		err(2, "%s", dir);
	return true;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "usage: disk IMAGE COMMAND [ARGUMENT...]");
	if (!enter(argv[1]))
		puts("# no disk: the kernel has no loop devices or no ext2");
	fflush(stdout);
	execv(argv[2], argv + 2);
	err(2, "%s", argv[2]);
}
