"""Runs the migrations on the connection that ``entrepot.metadata.schema`` hands in, in its transaction."""

from alembic import context

from entrepot.metadata.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's, too, once the driver does not meddle with transactions
)
with context.begin_transaction():
    context.run_migrations()
