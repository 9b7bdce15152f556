// SPDX-License-Identifier: Apache-2.0
/* See tap.h. */
#include "dataplane/dpdk/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#define DEVICE "/dev/net/tun"

static int failed(char *err, size_t size, const char *what, int r, const char *cure)
{
	snprintf(err, size, "%s: %s%s", what, strerror(-r), cure);
	return r;
}

/* What TUNSETIFF refused. */
static const char *cure_of(int r)
{
	switch (r) {
	case -EPERM:
		return ": CAP_NET_ADMIN is needed";
	case -EBUSY:
		return ": another port or process has it open, choose another name";
	case -EINVAL:
		return ": there is an interface of this name that is no tap of one queue, choose "
		       "another name";
	default:
		return "";
	}
}

static int set_up(const char *name, const uint8_t mac[6], uint32_t mtu, char *err, size_t size)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;
	struct ifreq req = {.ifr_mtu = (int)mtu};

	if (s < 0)
		return failed(err, size, "socket", -errno, "");
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(s, SIOCSIFMTU, &req) < 0) {
		r = failed(err, size, "MTU", -errno, "");
		goto out;
	}
	memset(&req.ifr_hwaddr, 0, sizeof(req.ifr_hwaddr));
	req.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(req.ifr_hwaddr.sa_data, mac, 6);
	if (ioctl(s, SIOCSIFHWADDR, &req) < 0) {
		r = failed(err, size, "MAC", -errno, "");
		goto out;
	}
	if (ioctl(s, SIOCGIFFLAGS, &req) == 0) {
		req.ifr_flags |= IFF_UP;
		if (ioctl(s, SIOCSIFFLAGS, &req) == 0)
			goto out;
	}
	r = failed(err, size, "up", -errno, "");
out:
	close(s);
	return r;
}

int kb_tap_open(const char *name, const uint8_t mac[6], uint32_t mtu, int *ret_fd, char *err,
		size_t err_size)
{
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC), r;
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	if (fd < 0)
		return failed(err, err_size, DEVICE, -errno,
			      ": load the module tun, let a container have the device");
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req) < 0) {
		r = -errno;
		failed(err, err_size, "open", r, cure_of(r));
		goto err;
	}
	r = set_up(name, mac, mtu, err, err_size);
	if (r < 0)
		goto err;
	*ret_fd = fd;
	return 0;
err:
	close(fd);
	return r;
}

int kb_tap_keep(int fd)
{
	return ioctl(fd, TUNSETPERSIST, 1UL) < 0 ? -errno : 0;
}

int kb_tap_carrier(int fd, bool up)
{
	int on = up;

	return ioctl(fd, TUNSETCARRIER, &on) < 0 ? -errno : 0;
}
