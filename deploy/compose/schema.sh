#!/bin/sh
# Creates Temporal's two databases in PostgreSQL and brings their schemas up to this server's version.
# Safe to repeat: what exists stays. Running it with a newer image is the upgrade of the schema.
# The connection comes from the SQL_* environment, the password from a file.
set -eu

SQL_PASSWORD=$(cat /run/secrets/postgres_password)
export SQL_PASSWORD
versions=/etc/temporal/schema/postgresql/v12

temporal-sql-tool --db temporal create
temporal-sql-tool --db temporal setup-schema -v 0.0
temporal-sql-tool --db temporal update-schema -d "$versions/temporal/versioned"

temporal-sql-tool --db temporal_visibility create
temporal-sql-tool --db temporal_visibility setup-schema -v 0.0
temporal-sql-tool --db temporal_visibility update-schema -d "$versions/visibility/versioned"
