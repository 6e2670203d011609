/* ca.h: where the system keeps the certificates it trusts. Private to plugin/net. */
#ifndef WARBLER_NET_CA_H
#define WARBLER_NET_CA_H

/* The bundle file of this system; "" if none of the usual places has one. */
const char *ca_bundle(void);

#endif
