/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of control/config only. */
#ifndef KB_CONFIG_OPTIONS_PRIVATE_H
#define KB_CONFIG_OPTIONS_PRIVATE_H

#include "control/config/options.h"

enum kb_level { KB_LEVEL_NONE, KB_LEVEL_DEFAULT, KB_LEVEL_FILE, KB_LEVEL_CLI };

/* Checks text and gives it to the row's field, if no higher level has done so. The
 * line in err says what is wrong and what would be right, not where it stands. */
int kb_option_assign(struct kb_options *o, const struct kb_option *row, enum kb_level level,
		     const char *text, char *err, size_t err_size);
void kb_option_clear(struct kb_options *o, const struct kb_option *row);
uint8_t *kb_option_level(struct kb_options *o, const struct kb_option *row);

/* Reads the YAML file at path into o at KB_LEVEL_FILE. */
int kb_config_file_read(struct kb_options *o, const char *path, char *err, size_t err_size);

/* Writes one line and returns r, so that a failure is one statement. */
int kb_config_fail(int r, char *err, size_t err_size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
