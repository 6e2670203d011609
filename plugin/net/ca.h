/* ca.h: the certificates of those whom we trust to vouch for others. Private to plugin/net. */
#ifndef WARBLER_NET_CA_H
#define WARBLER_NET_CA_H

/* The file that SSL_CERT_FILE names, as OpenSSL's own programs have it, else the
 * bundle of this system; "" if none of the usual places has one. */
const char *ca_bundle(void);

#endif
