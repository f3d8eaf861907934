#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Where a connection to a provider may lead. Whoever dials one asks here, with the address as it
 * was resolved, so that no name can lead to a cloud's metadata service. */

/* Whether an address is link-local, multicast or reserved, also an IPv4 one inside an IPv6 one:
 * never dialled. Loopback and private ranges may be, for models that are hosted at home. What is
 * neither IPv4 nor IPv6 is refused too. */
bool address_is_refused(const struct sockaddr *address);

/* Whether a host as it stands in a URL (without brackets) is this machine: never reached through a
 * proxy. */
bool address_is_loopback(const char *host);

#endif
