-- What a certificate's answer may bear beyond its status, serials that are spoken for, and the last states of an issuer.

-- reserved: the serial is in use for a certificate whose signing was not reported yet; status is 0 (good) until it is.
-- extensions: DER of Extensions for singleExtensions; NULL = none.
ALTER TABLE certificates ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved IN (0, 1) AND (reserved = 0 OR status = 0));
ALTER TABLE certificates ADD COLUMN is_ca INTEGER NOT NULL DEFAULT 0 CHECK (is_ca IN (0, 1));
ALTER TABLE certificates ADD COLUMN extensions BLOB CHECK (length(extensions) BETWEEN 4 AND 4096);

CREATE TRIGGER certificates_reserved BEFORE UPDATE ON certificates
WHEN NEW.reserved > OLD.reserved
BEGIN
  SELECT RAISE(ABORT, 'certificates: what was recorded is not reserved again');
END;

-- compromised_at: the CA's key is known compromised since then, every serial is revoked. final_at: responses are final.
ALTER TABLE issuers ADD COLUMN compromised_at INTEGER NOT NULL DEFAULT 0 CHECK (compromised_at >= 0);
ALTER TABLE issuers ADD COLUMN final_at INTEGER NOT NULL DEFAULT 0 CHECK (final_at >= 0);

CREATE TRIGGER issuers_last_states BEFORE UPDATE ON issuers
BEGIN
  SELECT RAISE(ABORT, 'issuers: a compromise is not taken back')
    WHERE OLD.compromised_at > 0 AND (NEW.compromised_at = 0 OR NEW.compromised_at > OLD.compromised_at);
  SELECT RAISE(ABORT, 'issuers: final is final') WHERE OLD.final_at > 0 AND NEW.final_at <> OLD.final_at;
  SELECT RAISE(ABORT, 'issuers: the issuer is final')
    WHERE OLD.final_at > 0 AND (NEW.policy <> OLD.policy OR NEW.compromised_at <> OLD.compromised_at);
  SELECT RAISE(ABORT, 'issuers: not final while frozen') WHERE NEW.final_at > OLD.final_at AND NEW.frozen = 1;
  SELECT RAISE(ABORT, 'issuers: not final under public-trust')
    WHERE NEW.final_at > OLD.final_at AND NEW.policy->>'profile' = 'public-trust';
END;

-- After final_at the record of an issuer stands still, whoever writes.
CREATE TRIGGER certificates_insert_final BEFORE INSERT ON certificates
WHEN EXISTS (SELECT 1 FROM issuers WHERE id = NEW.issuer AND final_at > 0)
BEGIN
  SELECT RAISE(ABORT, 'certificates: the issuer is final');
END;

CREATE TRIGGER certificates_update_final BEFORE UPDATE ON certificates
WHEN EXISTS (SELECT 1 FROM issuers WHERE id = NEW.issuer AND final_at > 0)
BEGIN
  SELECT RAISE(ABORT, 'certificates: the issuer is final');
END;

CREATE TRIGGER responders_insert_final BEFORE INSERT ON responders
WHEN EXISTS (SELECT 1 FROM issuers WHERE id = NEW.issuer AND final_at > 0)
BEGIN
  SELECT RAISE(ABORT, 'responders: the issuer is final');
END;
