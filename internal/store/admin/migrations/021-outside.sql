-- Where an account comes from: nothing, made here; ldap, of a directory; oidc, of an issuer. Whom the source gave nothing when he was
-- last there has lapsed.
ALTER TABLE account ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN subject TEXT NOT NULL DEFAULT ''; -- who he is at the source
ALTER TABLE account ADD COLUMN lapsed $INT NOT NULL DEFAULT 0;
ALTER TABLE account_session ADD COLUMN source TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX account_subject ON account (source, subject) WHERE source <> '';
