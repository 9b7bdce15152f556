/* SPDX-License-Identifier: Apache-2.0 */
/* Mnemonics of the DNS parameters registry, for people: types, classes, rcodes. Any thread. */
#ifndef KB_QUERYLOG_NAMES_H
#define KB_QUERYLOG_NAMES_H

#include <stdint.h>

#define KB_MNEMONIC_MAX 16

/* The mnemonic, or TYPEnnn and CLASSnnn (RFC 3597 section 5) or the number, in buf
 * (KB_MNEMONIC_MAX bytes). */
const char *kb_type_text(uint16_t type, char *buf);
const char *kb_class_text(uint16_t class, char *buf);
const char *kb_rcode_text(unsigned int rcode, char *buf);
/* The reverse, in any case; numbers alone too. 0 or -EINVAL. */
int kb_type_parse(const char *text, uint16_t *ret_type);
int kb_rcode_parse(const char *text, unsigned int *ret_rcode);

#endif
