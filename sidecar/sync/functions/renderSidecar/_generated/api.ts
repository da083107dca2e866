/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type * as assets from "../assets.js";
import type * as lib_apply from "../lib/apply.js";
import type * as lib_auth from "../lib/auth.js";
import type * as lib_backend from "../lib/backend.js";
import type * as lib_backfill from "../lib/backfill.js";
import type * as lib_batch from "../lib/batch.js";
import type * as lib_callbacks from "../lib/callbacks.js";
import type * as lib_changes from "../lib/changes.js";
import type * as lib_checks from "../lib/checks.js";
import type * as lib_collection from "../lib/collection.js";
import type * as lib_current from "../lib/current.js";
import type * as lib_deletion from "../lib/deletion.js";
import type * as lib_effects from "../lib/effects.js";
import type * as lib_endedDeletions from "../lib/endedDeletions.js";
import type * as lib_ensuring from "../lib/ensuring.js";
import type * as lib_epochs from "../lib/epochs.js";
import type * as lib_errors from "../lib/errors.js";
import type * as lib_identity from "../lib/identity.js";
import type * as lib_ledger from "../lib/ledger.js";
import type * as lib_left from "../lib/left.js";
import type * as lib_liveness from "../lib/liveness.js";
import type * as lib_moving from "../lib/moving.js";
import type * as lib_newDocuments from "../lib/newDocuments.js";
import type * as lib_objects from "../lib/objects.js";
import type * as lib_optional from "../lib/optional.js";
import type * as lib_order from "../lib/order.js";
import type * as lib_orphans from "../lib/orphans.js";
import type * as lib_pages from "../lib/pages.js";
import type * as lib_recount from "../lib/recount.js";
import type * as lib_references from "../lib/references.js";
import type * as lib_rows from "../lib/rows.js";
import type * as lib_sessionDeletion from "../lib/sessionDeletion.js";
import type * as lib_shapes from "../lib/shapes.js";
import type * as lib_status from "../lib/status.js";
import type * as lib_tags from "../lib/tags.js";
import type * as lib_totals from "../lib/totals.js";
import type * as lib_unfinished from "../lib/unfinished.js";
import type * as lib_versions from "../lib/versions.js";
import type * as lib_views from "../lib/views.js";
import type * as migration from "../migration.js";
import type * as scenes from "../scenes.js";
import type * as sessions from "../sessions.js";
import type * as sidecar from "../sidecar.js";

import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";
import { anyApi, componentsGeneric } from "convex/server";

const fullApi: ApiFromModules<{
  "assets": typeof assets;
  "lib/apply": typeof lib_apply;
  "lib/auth": typeof lib_auth;
  "lib/backend": typeof lib_backend;
  "lib/backfill": typeof lib_backfill;
  "lib/batch": typeof lib_batch;
  "lib/callbacks": typeof lib_callbacks;
  "lib/changes": typeof lib_changes;
  "lib/checks": typeof lib_checks;
  "lib/collection": typeof lib_collection;
  "lib/current": typeof lib_current;
  "lib/deletion": typeof lib_deletion;
  "lib/effects": typeof lib_effects;
  "lib/endedDeletions": typeof lib_endedDeletions;
  "lib/ensuring": typeof lib_ensuring;
  "lib/epochs": typeof lib_epochs;
  "lib/errors": typeof lib_errors;
  "lib/identity": typeof lib_identity;
  "lib/ledger": typeof lib_ledger;
  "lib/left": typeof lib_left;
  "lib/liveness": typeof lib_liveness;
  "lib/moving": typeof lib_moving;
  "lib/newDocuments": typeof lib_newDocuments;
  "lib/objects": typeof lib_objects;
  "lib/optional": typeof lib_optional;
  "lib/order": typeof lib_order;
  "lib/orphans": typeof lib_orphans;
  "lib/pages": typeof lib_pages;
  "lib/recount": typeof lib_recount;
  "lib/references": typeof lib_references;
  "lib/rows": typeof lib_rows;
  "lib/sessionDeletion": typeof lib_sessionDeletion;
  "lib/shapes": typeof lib_shapes;
  "lib/status": typeof lib_status;
  "lib/tags": typeof lib_tags;
  "lib/totals": typeof lib_totals;
  "lib/unfinished": typeof lib_unfinished;
  "lib/versions": typeof lib_versions;
  "lib/views": typeof lib_views;
  "migration": typeof migration;
  "scenes": typeof scenes;
  "sessions": typeof sessions;
  "sidecar": typeof sidecar;
}> = anyApi as any;

export const api: FilterApi<typeof fullApi, FunctionReference<any, "public">> = anyApi as any;
export const internal: FilterApi<typeof fullApi, FunctionReference<any, "internal">> = anyApi as any;

export const components = componentsGeneric() as unknown as {};
