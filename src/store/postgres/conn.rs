//! [`Conn`] on a PostgreSQL connection.

use async_trait::async_trait;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;

use crate::store::conn::{Conn, Fault, Row, Value};
use crate::store::dialect::{self, Dialect};

#[async_trait]
impl Conn for PgConnection {
    fn dialect(&self) -> &'static Dialect {
        &dialect::POSTGRES
    }

    async fn execute(&mut self, sql: &'static str, args: &[Value]) -> Result<u64, Fault> {
        Ok(bind(sql, args).execute(self).await?.rows_affected())
    }

    async fn fetch(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, Fault> {
        Ok(bind(sql, args).fetch_all(self).await?.into_iter().map(Row::Postgres).collect())
    }
}

fn bind(sql: &'static str, args: &[Value]) -> Query<'static, Postgres, PgArguments> {
    args.iter().fold(sqlx::query(sql), |query, value| match value.clone() {
        Value::I64(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
        Value::Uuids(list) => query.bind(list),
    })
}
