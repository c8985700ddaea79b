//! Tombolo: peer-to-peer table sync between databases of different sites.
//!
//! The host offers a database, HTTP and state to sandboxed components; the components hold the sync logic. A
//! [`tenant::Tenant`] is one site: put together with [`tenant::Tenant::builder`], added to a [`host::Host`], served to
//! peers by a [`server::Server`], and followed with [`tenant::Tenant::follow`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use tombolo::bindings::sharing::{Direction, Session, ShareRequest};
//! use tombolo::bindings::types::{Failure, Scope};
//! use tombolo::database::{self, Location};
//! use tombolo::host::Host;
//! use tombolo::resources::{GrantedDatabase, Owner, Patterns};
//! use tombolo::sandbox::{Limits, Sandbox};
//! use tombolo::server::Server;
//! use tombolo::tenant::Tenant;
//!
//! /// Shares a SQLite file as long as the server and the owner are held; the session has the code for the other side.
//! async fn share(file: &str) -> Result<(Server, Owner, Session), Failure> {
//!     let database = database::open(&Location::Sqlite(file.into()), false).await?;
//!     let granted = GrantedDatabase::new(Arc::from(database), Patterns::all()?, Patterns::new(&[])?);
//!     let sandbox = Sandbox::new(Limits::default())?;
//!     let tenant = Tenant::builder(sandbox.clone()).database("shop", granted).open().await?;
//!     let host = Host::new(sandbox).with_tenant("local", Arc::clone(&tenant));
//!     let server = Server::bind(Arc::new(host), ([127, 0, 0, 1], 0).into(), false).await?;
//!     let owner = tenant.open_owner().await?;
//!     let session = tenant
//!         .engine()
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

pub mod bindings;
pub mod capability;
pub mod database;
pub mod digest;
pub mod egress;
pub mod failure;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod host;
pub mod printable;
pub mod private_files;
pub mod resources;
pub mod rows;
pub mod run;
pub mod sandbox;
pub mod server;
pub mod state;
pub mod tenant;
