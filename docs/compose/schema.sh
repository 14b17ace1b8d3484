#!/bin/sh
# Creates Temporal's two databases in PostgreSQL and brings their schemas up to this server's version.
# Safe to repeat: what exists stays. The connection comes from the SQL_* environment.
set -eu

versions=/etc/temporal/schema/postgresql/v12

temporal-sql-tool --db temporal create
temporal-sql-tool --db temporal setup-schema -v 0.0
temporal-sql-tool --db temporal update-schema -d "$versions/temporal/versioned"

temporal-sql-tool --db temporal_visibility create
temporal-sql-tool --db temporal_visibility setup-schema -v 0.0
temporal-sql-tool --db temporal_visibility update-schema -d "$versions/visibility/versioned"
