#include "net/address.h"

#include "base/span.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static bool is_refused_v4(uint32_t address)
{
    const uint32_t top = address >> 24;

    return top == 0 || top >= 224 || address >> 16 == 0xa9fe;
}

static uint32_t v4_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_refused_v6(const struct in6_addr *address)
{
    static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    const unsigned char *bytes = address->s6_addr;

    if (IN6_IS_ADDR_LOOPBACK(address))
        return false;
    if (IN6_IS_ADDR_LINKLOCAL(address) || IN6_IS_ADDR_MULTICAST(address))
        return true;
    /* An IPv4 address in an IPv6 one leads to the same host. */
    if (IN6_IS_ADDR_V4MAPPED(address) || IN6_IS_ADDR_V4COMPAT(address) ||
        IN6_IS_ADDR_UNSPECIFIED(address) || memcmp(bytes, nat64, sizeof nat64) == 0)
        return is_refused_v4(v4_at(bytes + 12));
    return false;
}

bool address_is_refused(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return is_refused_v4(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return is_refused_v6(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return true;
}

bool address_is_loopback(const char *host)
{
    const struct span name = span_from(host);
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return span_equal(name, SPAN("::1")) || span_equal_nocase(name, SPAN("localhost")) ||
           (name.len > sizeof ".localhost" &&
            span_equal_nocase(span_from_offset(name, name.len - (sizeof ".localhost" - 1)),
                              SPAN(".localhost")));
}
