/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KB_CONFIG_VERSION_H
#define KB_CONFIG_VERSION_H

#ifndef KB_VERSION
#define KB_VERSION "0.1.0"
#endif

#endif
