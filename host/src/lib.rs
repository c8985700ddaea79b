//! Tombolo: peer-to-peer table sync between databases of different sites.
//!
//! The host offers a database, HTTP and state to sandboxed components; the components hold the sync logic. A
//! [`tenant::Tenant`] is one site: put together with [`tenant::Tenant::builder`], served to peers by a
//! [`server::Server`], and followed through [`run_events::RunEvents`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use tombolo::bindings::sharing::{Direction, Session, ShareRequest};
//! use tombolo::bindings::types::{Failure, Scope};
//! use tombolo::database::{self, Location};
//! use tombolo::owner::Owner;
//! use tombolo::sandbox::{Limits, Sandbox};
//! use tombolo::server::Server;
//! use tombolo::tenant::{GrantedDatabase, Patterns, Tenant};
//!
//! /// Shares a SQLite file as long as the server and the owner are held; the session has the code for the other side.
//! async fn share(file: &str) -> Result<(Server, Owner, Session), Failure> {
//!     let database = database::open(&Location::Sqlite(file.into()), false).await?;
//!     let granted = GrantedDatabase::new(Arc::from(database), Patterns::all()?, Patterns::new(&[])?);
//!     let sandbox = Sandbox::new(Limits::default())?;
//!     let tenant = Tenant::builder(sandbox).database("shop", granted).open().await?;
//!     let server = Server::bind(Arc::clone(&tenant), ([127, 0, 0, 1], 0).into(), false).await?;
//!     let owner = tenant.open_owner().await?;
//!     let session = tenant
//!         .create_session(&ShareRequest {
//!             direction: Direction::Send,
//!             database: "shop".to_owned(),
//!             scope: Scope { tables: vec!["*".to_owned()] },
//!             owner: owner.id().to_owned(),
//!             expires_in: 600_000,
//!         })
//!         .await?;
//!     println!("http://{} {}", server.address(), session.code);
//!     Ok((server, owner, session))
//! }
//! ```

pub mod access;
pub mod bindings;
pub mod capability;
pub mod database;
pub mod digest;
pub mod egress;
pub mod failure;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod owner;
pub mod refusal;
pub mod rows;
pub mod run;
pub mod run_events;
pub mod sandbox;
pub mod server;
pub mod snapshots;
pub mod state;
pub mod tenant;
