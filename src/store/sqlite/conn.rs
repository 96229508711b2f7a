//! [`Conn`] on a SQLite connection.

use async_trait::async_trait;
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};

use crate::store::conn::{Conn, Fault, Row, Value};
use crate::store::dialect::{self, Dialect};

#[async_trait]
impl Conn for SqliteConnection {
    fn dialect(&self) -> &'static Dialect {
        &dialect::SQLITE
    }

    async fn execute(&mut self, sql: &'static str, args: &[Value]) -> Result<u64, Fault> {
        Ok(bind(sql, args).execute(self).await?.rows_affected())
    }

    async fn fetch(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, Fault> {
        Ok(bind(sql, args).fetch_all(self).await?.into_iter().map(Row::Sqlite).collect())
    }
}

fn bind(sql: &'static str, args: &[Value]) -> Query<'static, Sqlite, SqliteArguments> {
    args.iter().fold(sqlx::query(sql), |query, value| match value.clone() {
        Value::I64(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
        Value::Uuids(list) => {
            let quoted: Vec<_> = list.iter().map(|id| format!("\"{}\"", id.simple())).collect();
            query.bind(format!("[{}]", quoted.join(",")))
        }
    })
}
