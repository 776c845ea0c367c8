//! The columns of the tables of the catalog, as far as clients read them
//! (<https://www.postgresql.org/docs/current/catalogs.html>).

use arrow::datatypes::DataType;

/// A table of the catalog.
pub(super) struct CatalogTable {
    /// With its schema.
    pub(super) name: &'static str,
    /// The columns: a name, and after a colon its type.
    columns: &'static str,
    /// Whether it has rows. Queries over those without any need not be planned.
    pub(super) has_rows: bool,
}

impl CatalogTable {
    /// Returns the names and types of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&'static str, DataType)> {
        self.columns.split_whitespace().map(|column| match column.split_once(':') {
            Some((name, "i")) => (name, DataType::Int64),
            Some((name, "b")) => (name, DataType::Boolean),
            Some((name, "f")) => (name, DataType::Float64),
            Some((name, _)) => (name, DataType::Utf8),
            None => (column, DataType::Utf8),
        })
    }
}

const fn table(name: &'static str, columns: &'static str) -> CatalogTable {
    CatalogTable { name, columns, has_rows: true }
}

const fn empty(name: &'static str, columns: &'static str) -> CatalogTable {
    CatalogTable { name, columns, has_rows: false }
}

/// Every table, in the order of their numbers.
pub(super) const ALL: &[CatalogTable] = &[
    table(
        "pg_catalog.pg_class",
        "oid:i relname relnamespace:i reltype:i reloftype:i relowner:i relam:i relfilenode:i \
         reltablespace:i relpages:i reltuples:f relallvisible:i reltoastrelid:i relhasindex:b \
         relisshared:b relpersistence relkind relnatts:i relchecks:i relhasrules:b \
         relhastriggers:b relhassubclass:b relrowsecurity:b relforcerowsecurity:b \
         relispopulated:b relreplident relispartition:b relrewrite:i relfrozenxid:i relminmxid:i \
         relacl reloptions relpartbound",
    ),
    table("pg_catalog.pg_namespace", "oid:i nspname nspowner:i nspacl"),
    table(
        "pg_catalog.pg_attribute",
        "attrelid:i attname atttypid:i attstattarget:i attlen:i attnum:i attndims:i attcacheoff:i \
         atttypmod:i attbyval:b attalign attstorage attcompression attnotnull:b atthasdef:b \
         atthasmissing:b attidentity attgenerated attisdropped:b attislocal:b attinhcount:i \
         attcollation:i attacl attoptions attfdwoptions attmissingval",
    ),
    table(
        "pg_catalog.pg_type",
        "oid:i typname typnamespace:i typowner:i typlen:i typbyval:b typtype typcategory \
         typispreferred:b typisdefined:b typdelim typrelid:i typsubscript typelem:i typarray:i \
         typinput typoutput typreceive typsend typmodin typmodout typanalyze typalign typstorage \
         typnotnull:b typbasetype:i typtypmod:i typndims:i typcollation:i typdefaultbin typdefault \
         typacl",
    ),
    table("pg_catalog.pg_description", "objoid:i classoid:i objsubid:i description"),
    table(
        "pg_catalog.pg_database",
        "oid:i datname datdba:i encoding:i datlocprovider datistemplate:b datallowconn:b \
         datconnlimit:i datfrozenxid:i datminmxid:i dattablespace:i datcollate datctype \
         daticulocale datcollversion datacl",
    ),
    table(
        "pg_catalog.pg_roles",
        "oid:i rolname rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b \
         rolreplication:b rolconnlimit:i rolpassword rolvaliduntil rolbypassrls:b rolconfig",
    ),
    table("pg_catalog.pg_user", "usename usesysid:i usecreatedb:b usesuper:b userepl:b"),
    table("pg_catalog.pg_am", "oid:i amname amhandler amtype"),
    table("pg_catalog.pg_tablespace", "oid:i spcname spcowner:i spcacl spcoptions"),
    table(
        "pg_catalog.pg_tables",
        "schemaname tablename tableowner tablespace hasindexes:b hasrules:b hastriggers:b \
         rowsecurity:b",
    ),
    table("pg_catalog.pg_views", "schemaname viewname viewowner definition"),
    table(
        "pg_catalog.pg_settings",
        "name setting unit category short_desc extra_desc context vartype source min_val max_val \
         enumvals boot_val reset_val sourcefile sourceline:i pending_restart:b",
    ),
    table(
        "information_schema.schemata",
        "catalog_name schema_name schema_owner default_character_set_name",
    ),
    table(
        "information_schema.tables",
        "table_catalog table_schema table_name table_type self_referencing_column_name \
         reference_generation user_defined_type_catalog user_defined_type_schema \
         user_defined_type_name is_insertable_into is_typed commit_action kind description",
    ),
    table(
        "information_schema.columns",
        "table_catalog table_schema table_name column_name ordinal_position:i column_default \
         is_nullable data_type character_maximum_length:i character_octet_length:i \
         numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i \
         interval_type interval_precision:i character_set_catalog character_set_schema \
         character_set_name collation_catalog collation_schema collation_name domain_catalog \
         domain_schema domain_name udt_catalog udt_schema udt_name is_identity is_generated \
         generation_expression is_updatable description",
    ),
    table(
        "information_schema.views",
        "table_catalog table_schema table_name view_definition check_option is_updatable \
         is_insertable_into",
    ),
    empty("pg_catalog.pg_attrdef", "oid:i adrelid:i adnum:i adbin adsrc"),
    empty(
        "pg_catalog.pg_constraint",
        "oid:i conname connamespace:i contype condeferrable:b condeferred:b convalidated:b \
         conrelid:i contypid:i conindid:i conparentid:i confrelid:i confupdtype confdeltype \
         confmatchtype conislocal:b coninhcount:i connoinherit:b conkey confkey conbin",
    ),
    empty(
        "pg_catalog.pg_index",
        "indexrelid:i indrelid:i indnatts:i indnkeyatts:i indisunique:b indisprimary:b \
         indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indisready:b indislive:b \
         indisreplident:b indkey indcollation indclass indoption indexprs indpred",
    ),
    empty("pg_catalog.pg_collation", "oid:i collname collnamespace:i collowner:i collprovider"),
    empty("pg_catalog.pg_inherits", "inhrelid:i inhparent:i inhseqno:i inhdetachpending:b"),
    empty(
        "pg_catalog.pg_depend",
        "classid:i objid:i objsubid:i refclassid:i refobjid:i refobjsubid:i deptype",
    ),
    empty("pg_catalog.pg_sequence", "seqrelid:i seqtypid:i seqstart:i seqincrement:i seqmax:i"),
    empty(
        "pg_catalog.pg_proc",
        "oid proname pronamespace:i proowner:i prolang:i prokind prorettype:i proretset:b \
         pronargs:i proargtypes proallargtypes proargmodes proargnames prosrc",
    ),
    empty("pg_catalog.pg_enum", "oid:i enumtypid:i enumsortorder:f enumlabel"),
    empty("pg_catalog.pg_range", "rngtypid:i rngsubtype:i rngmultitypid:i rngcollation:i"),
    empty("pg_catalog.pg_trigger", "oid:i tgrelid:i tgname tgenabled tgisinternal:b tgfoid:i"),
    empty("pg_catalog.pg_policy", "oid:i polname polrelid:i polcmd polpermissive:b polroles"),
    empty("pg_catalog.pg_rewrite", "oid:i rulename ev_class:i ev_type ev_enabled is_instead:b"),
    empty("pg_catalog.pg_partitioned_table", "partrelid:i partstrat partnatts:i partdefid:i"),
    empty("pg_catalog.pg_foreign_table", "ftrelid:i ftserver:i ftoptions"),
    empty("pg_catalog.pg_foreign_server", "oid:i srvname srvowner:i srvfdw:i srvoptions"),
    empty("pg_catalog.pg_foreign_data_wrapper", "oid:i fdwname fdwowner:i"),
    empty("pg_catalog.pg_publication", "oid:i pubname pubowner:i puballtables:b"),
    empty("pg_catalog.pg_publication_rel", "oid:i prpubid:i prrelid:i prqual prattrs"),
    empty("pg_catalog.pg_publication_namespace", "oid:i pnpubid:i pnnspid:i"),
    empty("pg_catalog.pg_statistic_ext", "oid:i stxrelid:i stxname stxnamespace:i stxkind stxkeys"),
    empty("pg_catalog.pg_extension", "oid:i extname extowner:i extnamespace:i extversion"),
    empty("pg_catalog.pg_language", "oid:i lanname lanowner:i"),
    empty("pg_catalog.pg_event_trigger", "oid:i evtname evtevent evtowner:i evtenabled"),
    empty("pg_catalog.pg_get_keywords", "word catcode barelabel:b catdesc baredesc"),
    empty(
        "pg_catalog.pg_conversion",
        "oid:i conname connamespace:i conowner:i conforencoding:i contoencoding:i conproc:i \
         condefault:b",
    ),
    empty("pg_catalog.pg_ts_parser", "oid:i prsname prsnamespace:i prsstart prstoken prsend"),
    empty("pg_catalog.pg_ts_dict", "oid:i dictname dictnamespace:i dicttemplate:i dictinitoption"),
    empty("pg_catalog.pg_ts_template", "oid:i tmplname tmplnamespace:i tmplinit tmpllexize"),
    empty("pg_catalog.pg_ts_config", "oid:i cfgname cfgnamespace:i cfgowner:i cfgparser:i"),
    empty("pg_catalog.pg_db_role_setting", "setdatabase:i setrole:i setconfig"),
    empty("pg_catalog.pg_operator", "oid:i oprname oprnamespace:i oprleft:i oprright:i"),
    empty("pg_catalog.pg_opclass", "oid:i opcname opcmethod:i opcnamespace:i opcintype:i"),
    empty("pg_catalog.pg_aggregate", "aggfnoid:i aggkind"),
    empty("pg_catalog.pg_cast", "oid:i castsource:i casttarget:i castfunc:i castcontext"),
    empty("pg_catalog.pg_shdescription", "objoid:i classoid:i description"),
    empty("pg_catalog.pg_seclabel", "objoid:i classoid:i objsubid:i provider label"),
    empty("pg_catalog.pg_auth_members", "oid:i roleid:i member:i grantor:i admin_option:b"),
    empty("pg_catalog.pg_default_acl", "oid:i defaclrole:i defaclnamespace:i defaclobjtype"),
    empty(
        "pg_catalog.pg_stat_activity",
        "datid:i datname pid:i usename application_name state query",
    ),
    empty("pg_catalog.pg_stat_user_tables", "relid:i schemaname relname n_live_tup:i"),
    empty("pg_catalog.pg_statio_user_tables", "relid:i schemaname relname heap_blks_read:i"),
    empty("pg_catalog.pg_locks", "locktype database:i relation:i pid:i mode granted:b"),
    empty("pg_catalog.pg_matviews", "schemaname matviewname matviewowner definition ispopulated:b"),
    empty("pg_catalog.pg_indexes", "schemaname tablename indexname tablespace indexdef"),
    empty("pg_catalog.pg_sequences", "schemaname sequencename sequenceowner last_value:i"),
    empty("pg_catalog.pg_rules", "schemaname tablename rulename definition"),
    empty("pg_catalog.pg_policies", "schemaname tablename policyname permissive roles cmd qual"),
    empty("pg_catalog.pg_cursors", "name statement is_holdable:b is_binary:b is_scrollable:b"),
    empty("pg_catalog.pg_prepared_statements", "name statement"),
    empty(
        "information_schema.table_constraints",
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema \
         table_name constraint_type is_deferrable initially_deferred enforced",
    ),
    empty(
        "information_schema.key_column_usage",
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema \
         table_name column_name ordinal_position:i position_in_unique_constraint:i",
    ),
    empty(
        "information_schema.referential_constraints",
        "constraint_catalog constraint_schema constraint_name unique_constraint_catalog \
         unique_constraint_schema unique_constraint_name match_option update_rule delete_rule",
    ),
    empty(
        "information_schema.constraint_column_usage",
        "table_catalog table_schema table_name column_name constraint_catalog constraint_schema \
         constraint_name",
    ),
    empty(
        "information_schema.routines",
        "specific_catalog specific_schema specific_name routine_catalog routine_schema \
         routine_name routine_type data_type",
    ),
    empty(
        "information_schema.parameters",
        "specific_catalog specific_schema specific_name ordinal_position:i parameter_mode \
         parameter_name data_type",
    ),
    empty(
        "information_schema.table_privileges",
        "grantor grantee table_catalog table_schema table_name privilege_type is_grantable",
    ),
    empty("information_schema.triggers", "trigger_catalog trigger_schema trigger_name"),
    empty("information_schema.sequences", "sequence_catalog sequence_schema sequence_name"),
    empty(
        "information_schema.character_sets",
        "character_set_catalog character_set_schema character_set_name",
    ),
];

/// Returns a table by its schema and name.
pub(super) fn find(schema: &str, name: &str) -> Option<&'static CatalogTable> {
    ALL.iter().find(|table| {
        table.name.strip_prefix(schema).and_then(|rest| rest.strip_prefix('.')) == Some(name)
    })
}
