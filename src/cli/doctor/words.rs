//! What `doctor` says, side by side in both languages: for each fault one sentence on what is wrong, and one on what
//! to do. For operators: names of files, hosts and keys of the configuration stand in them, secrets never.

use crate::domain::examination::{Check, Fault, Outcome, Proof};
use crate::domain::texts::Language;

/// A fault in words.
pub(super) struct Told {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: &'static str,
}

const fn pick(language: Language, french: &'static str, english: &'static str) -> &'static str {
    match language {
        Language::French => french,
        Language::English => english,
    }
}

pub(super) fn no_registration(language: Language) -> &'static str {
    pick(
        language,
        "La configuration ne contient aucun enregistrement. Ajoutez une section [registrations.…].",
        "The configuration holds no registration. Add a section [registrations.…].",
    )
}

pub(super) fn no_such_registration(name: &str, language: Language) -> String {
    match language {
        Language::French => format!(
            "La configuration ne contient pas d’enregistrement `{name}`. Donnez à --registration un nom de section [registrations.…]."
        ),
        Language::English => format!(
            "The configuration holds no registration `{name}`. Give --registration the name of a section [registrations.…]."
        ),
    }
}

pub(super) fn status(outcome: &Outcome, language: Language) -> &'static str {
    match outcome {
        Outcome::Well(_) => "ok",
        Outcome::Warning(_) => pick(language, "attention", "warning"),
        Outcome::Failed(_) => pick(language, "échec", "failed"),
        Outcome::NotReached => pick(language, "non atteint", "not reached"),
    }
}

pub(super) fn check(check: Check, language: Language) -> &'static str {
    match check {
        Check::Certificate => pick(language, "certificat client", "client certificate"),
        Check::CommonName => pick(language, "CN et client_id", "CN and client_id"),
        Check::Dns => "DNS",
        Check::Connection => pick(language, "connexion", "connection"),
        Check::Tls => "TLS",
        Check::ClientCertificate => pick(language, "certificat accepté", "certificate accepted"),
        Check::Metadata => pick(language, "métadonnées", "metadata"),
        Check::Issuer => pick(language, "émetteur (issuer)", "issuer"),
        Check::Clock => pick(language, "horloge", "clock"),
        Check::Delivery => pick(language, "mode de remise", "delivery mode"),
        Check::Authentication => pick(language, "authentification", "authentication method"),
        Check::Jwks => pick(language, "clés de signature (JWKS)", "signing keys (JWKS)"),
        Check::SigningAlgs => pick(language, "algorithmes de signature", "signing algorithms"),
        Check::Ciba => pick(language, "CIBA autorisé", "CIBA enabled"),
    }
}

pub(super) fn proof(check: Check, proof: &Proof, language: Language) -> String {
    match proof {
        Proof::Plain if check == Check::Ciba => pick(
            language,
            "le client est reconnu ; aucun téléphone n’a sonné",
            "the client is recognised; no phone rang",
        )
        .to_owned(),
        Proof::Plain => String::new(),
        Proof::Text(text) => text.clone(),
        Proof::DaysLeft { file, days } => match language {
            Language::French => format!("{file}, encore {days} jours"),
            Language::English => format!("{file}, {days} days left"),
        },
        Proof::Seconds(seconds) => match language {
            Language::French => format!("écart de {seconds} s"),
            Language::English => format!("{seconds} s apart"),
        },
        Proof::Keys(count) => match language {
            Language::French => format!("{count} utilisables"),
            Language::English => format!("{count} usable"),
        },
    }
}

pub(super) fn fault(fault: &Fault, language: Language) -> Told {
    Told { what: what(fault, language), fix: fix(fault, language) }
}

fn what(fault: &Fault, language: Language) -> String {
    match language {
        Language::French => french(fault),
        Language::English => english(fault),
    }
}

fn english(fault: &Fault) -> String {
    match fault {
        Fault::CertificateExpired { file, not_after } => {
            format!("The client certificate {file} expired at {not_after}.")
        }
        Fault::CertificateNotYetValid { file, not_before } => {
            format!("The client certificate {file} is valid from {not_before} only.")
        }
        Fault::CertificateExpiresSoon { file, days } => {
            format!("The client certificate {file} expires in {days} days.")
        }
        Fault::CertificateUnusable { file } => {
            format!("The client certificate {file} or its key cannot be used.")
        }
        Fault::RootsUnusable => "No HTTPS client can be made with the trusted roots.".to_owned(),
        Fault::CommonNameDiffers { common_name: Some(name), client_id } => {
            format!("The CN of the client certificate is {name:?}, the client_id is {client_id:?}.")
        }
        Fault::CommonNameDiffers { common_name: None, client_id } => {
            format!("The client certificate has no CN; the client_id is {client_id:?}.")
        }
        Fault::UrlNotAcceptable { host } => format!("The URL of the metadata at {host} may not be called."),
        Fault::NameNotResolved { host } => format!("The name {host} cannot be resolved."),
        Fault::AddressRefused { host } => format!("The name {host} leads to a private or reserved address."),
        Fault::NotConnected { host } => format!("Nobody accepts connections at {host}."),
        Fault::ConnectTimeout { host } => format!("{host} does not answer within five seconds."),
        Fault::UntrustedCa { host } => {
            format!("The server certificate of {host} comes from no authority that is trusted here.")
        }
        Fault::WrongHostName { host } => format!("The server certificate of {host} is for another name."),
        Fault::ServerCertificateOutOfDate { host } => {
            format!("The server certificate of {host} is expired or not valid yet.")
        }
        Fault::TlsFailed { host } => format!("The TLS handshake with {host} failed."),
        Fault::ClientCertificateRefused { host, alert } => {
            format!("{host} refused the client certificate in the handshake (alert {alert}).")
        }
        Fault::ClientCertificateRequired { host } => {
            format!("{host} requires a client certificate and the registration has none.")
        }
        Fault::NoAnswer { host } => format!("{host} gave no complete answer."),
        Fault::UnexpectedStatus { host, status } => format!("{host} answered with the status {status}."),
        Fault::MetadataMalformed => "The metadata document is no well-formed JSON object.".to_owned(),
        Fault::MetadataMember { member } => format!("The metadata have no valid {member}."),
        Fault::MetadataInsecure { member } => {
            format!("The metadata name a {member} that may not be called, such as one without https.")
        }
        Fault::IssuerDiffers { found: Some(found), configured } => {
            format!("The metadata name the issuer {found:?}, the configuration names {configured:?}.")
        }
        Fault::IssuerDiffers { found: None, configured } => {
            format!("The metadata name no issuer, the configuration names {configured:?}.")
        }
        Fault::NoDate => "No answer of the provider says what time it is there.".to_owned(),
        Fault::ClocksDiffer { seconds, ours_is_ahead: true } => {
            format!("The clock of this machine is {seconds} s ahead of the provider's.")
        }
        Fault::ClocksDiffer { seconds, ours_is_ahead: false } => {
            format!("The clock of this machine is {seconds} s behind the provider's.")
        }
        Fault::DeliveryNotOffered { wanted, offered } => {
            format!(
                "The registration uses the delivery mode {wanted}; the provider {}.",
                offers(offered, "offers none that is known", "offers ")
            )
        }
        Fault::NotOffered { member, wanted } => {
            format!(
                "The provider's {member} does not name {wanted}, which the registration is configured for."
            )
        }
        Fault::SigningKeyUnusable => "The signing key of the registration cannot be used.".to_owned(),
        Fault::KeysMalformed => "The provider's keys are no well-formed JSON Web Key Set.".to_owned(),
        Fault::NoUsableKey => "The provider publishes no usable signing key.".to_owned(),
        Fault::NoKeyFor { algs } => {
            format!("The provider publishes no key for {}, which the registration accepts.", algs.join(", "))
        }
        Fault::AlgsNotAdvertised { algs } => {
            format!("The provider does not advertise {}, which the registration accepts.", algs.join(", "))
        }
        Fault::CibaNotEnabled { code } => {
            format!("The provider does not let this client use CIBA (answer {code}).")
        }
        Fault::CredentialsRefused { code } => {
            format!("The provider refuses the client's credentials (answer {code}).")
        }
        Fault::RefusedOtherwise { code } => {
            format!(
                "The provider refused the trial request for another reason than its missing hint (answer {code})."
            )
        }
        Fault::AcceptedWithoutHint => "The provider accepted a request that names nobody.".to_owned(),
    }
}

#[expect(clippy::too_many_lines, reason = "one text for each fault")]
fn french(fault: &Fault) -> String {
    match fault {
        Fault::CertificateExpired { file, not_after } => {
            format!("Le certificat client {file} a expiré le {not_after}.")
        }
        Fault::CertificateNotYetValid { file, not_before } => {
            format!("Le certificat client {file} n’est valable qu’à partir du {not_before}.")
        }
        Fault::CertificateExpiresSoon { file, days } => {
            format!("Le certificat client {file} expire dans {days} jours.")
        }
        Fault::CertificateUnusable { file } => {
            format!("Le certificat client {file} ou sa clé est inutilisable.")
        }
        Fault::RootsUnusable => {
            "Aucun client HTTPS ne peut être construit avec les racines de confiance.".to_owned()
        }
        Fault::CommonNameDiffers { common_name: Some(name), client_id } => {
            format!("Le CN du certificat client est {name:?}, le client_id est {client_id:?}.")
        }
        Fault::CommonNameDiffers { common_name: None, client_id } => {
            format!("Le certificat client n’a pas de CN ; le client_id est {client_id:?}.")
        }
        Fault::UrlNotAcceptable { host } => {
            format!("L’URL des métadonnées à {host} ne peut pas être appelée.")
        }
        Fault::NameNotResolved { host } => format!("Le nom {host} ne peut pas être résolu."),
        Fault::AddressRefused { host } => format!("Le nom {host} mène à une adresse privée ou réservée."),
        Fault::NotConnected { host } => format!("Personne n’accepte de connexion à {host}."),
        Fault::ConnectTimeout { host } => format!("{host} ne répond pas en cinq secondes."),
        Fault::UntrustedCa { host } => {
            format!("Le certificat serveur de {host} ne vient d’aucune autorité reconnue ici.")
        }
        Fault::WrongHostName { host } => {
            format!("Le certificat serveur de {host} est fait pour un autre nom.")
        }
        Fault::ServerCertificateOutOfDate { host } => {
            format!("Le certificat serveur de {host} a expiré ou n’est pas encore valable.")
        }
        Fault::TlsFailed { host } => format!("La négociation TLS avec {host} a échoué."),
        Fault::ClientCertificateRefused { host, alert } => {
            format!("{host} a refusé le certificat client pendant la négociation TLS (alerte {alert}).")
        }
        Fault::ClientCertificateRequired { host } => {
            format!("{host} exige un certificat client et l’enregistrement n’en a pas.")
        }
        Fault::NoAnswer { host } => format!("{host} n’a pas donné de réponse complète."),
        Fault::UnexpectedStatus { host, status } => format!("{host} a répondu avec le statut {status}."),
        Fault::MetadataMalformed => {
            "Le document de métadonnées n’est pas un objet JSON bien formé.".to_owned()
        }
        Fault::MetadataMember { member } => format!("Les métadonnées n’ont pas de {member} valable."),
        Fault::MetadataInsecure { member } => {
            format!(
                "Les métadonnées donnent un {member} qui ne peut pas être appelé, par exemple sans https."
            )
        }
        Fault::IssuerDiffers { found: Some(found), configured } => {
            format!("Les métadonnées nomment l’émetteur {found:?}, la configuration nomme {configured:?}.")
        }
        Fault::IssuerDiffers { found: None, configured } => {
            format!("Les métadonnées ne nomment aucun émetteur, la configuration nomme {configured:?}.")
        }
        Fault::NoDate => "Aucune réponse du fournisseur ne dit l’heure qu’il y est.".to_owned(),
        Fault::ClocksDiffer { seconds, ours_is_ahead: true } => {
            format!("L’horloge de cette machine avance de {seconds} s sur celle du fournisseur.")
        }
        Fault::ClocksDiffer { seconds, ours_is_ahead: false } => {
            format!("L’horloge de cette machine retarde de {seconds} s sur celle du fournisseur.")
        }
        Fault::DeliveryNotOffered { wanted, offered } => {
            format!(
                "L’enregistrement utilise le mode de remise {wanted} ; le fournisseur {}.",
                offers(offered, "ne propose aucun mode connu", "propose ")
            )
        }
        Fault::NotOffered { member, wanted } => {
            format!("Le {member} du fournisseur ne nomme pas {wanted}, que l’enregistrement utilise.")
        }
        Fault::SigningKeyUnusable => "La clé de signature de l’enregistrement est inutilisable.".to_owned(),
        Fault::KeysMalformed => {
            "Les clés du fournisseur ne forment pas un JSON Web Key Set bien formé.".to_owned()
        }
        Fault::NoUsableKey => "Le fournisseur ne publie aucune clé de signature utilisable.".to_owned(),
        Fault::NoKeyFor { algs } => {
            format!(
                "Le fournisseur ne publie aucune clé pour {}, que l’enregistrement accepte.",
                algs.join(", ")
            )
        }
        Fault::AlgsNotAdvertised { algs } => {
            format!("Le fournisseur n’annonce pas {}, que l’enregistrement accepte.", algs.join(", "))
        }
        Fault::CibaNotEnabled { code } => {
            format!("Le fournisseur ne laisse pas ce client utiliser CIBA (réponse {code}).")
        }
        Fault::CredentialsRefused { code } => {
            format!("Le fournisseur refuse les justificatifs du client (réponse {code}).")
        }
        Fault::RefusedOtherwise { code } => format!(
            "Le fournisseur a refusé la demande d’essai pour une autre raison que l’absence d’identifiant (réponse {code})."
        ),
        Fault::AcceptedWithoutHint => {
            "Le fournisseur a accepté une demande qui ne nomme personne.".to_owned()
        }
    }
}

fn offers(modes: &[&'static str], none: &str, some: &str) -> String {
    if modes.is_empty() { none.to_owned() } else { format!("{some}{}", modes.join(", ")) }
}

#[expect(clippy::too_many_lines, reason = "one text for each fault")]
fn fix(fault: &Fault, language: Language) -> &'static str {
    let (french, english) = match fault {
        Fault::CertificateExpired { .. } => (
            "Faites-en établir un nouveau et écrivez-le au même chemin.",
            "Have a new one made and write it at the same path.",
        ),
        Fault::CertificateNotYetValid { .. } => (
            "Vérifiez l’horloge de cette machine, ou attendez cette date.",
            "Check the clock of this machine, or wait for that date.",
        ),
        Fault::CertificateExpiresSoon { .. } => (
            "Faites-le renouveler avant cette date : un certificat expiré ne se renouvelle pas partout.",
            "Have it renewed before: not every authority renews what has expired.",
        ),
        Fault::CertificateUnusable { .. } => {
            ("Lancez `relais check`, qui dit pourquoi.", "Run `relais check`, which says why.")
        }
        Fault::RootsUnusable => (
            "Vérifiez le fichier `ca` du fournisseur ou, sans lui, les racines du système (paquet ca-certificates).",
            "Check the provider's file `ca` or, without it, the system's roots (package ca-certificates).",
        ),
        Fault::CommonNameDiffers { .. } => (
            "Vérifiez que ce certificat est bien celui que le fournisseur a lié à ce client_id, et que client_id est sans faute.",
            "Make sure that this is the certificate that the provider has linked to this client_id, and that client_id is spelt right.",
        ),
        Fault::UrlNotAcceptable { .. } => (
            "Écrivez dans `metadata_url` une URL https, sans nom d’utilisateur ni fragment.",
            "Write in `metadata_url` an https URL without user name or fragment.",
        ),
        Fault::NameNotResolved { .. } => (
            "Vérifiez l’orthographe de ce nom dans la configuration, et le DNS de cette machine.",
            "Check how the configuration spells this name, and the DNS of this machine.",
        ),
        Fault::AddressRefused { .. } => (
            "Si le fournisseur est bien sur un réseau privé, donnez ses racines dans `ca` ; sinon corrigez le DNS.",
            "If the provider does stand on a private network, give its roots in `ca`; otherwise mend the DNS.",
        ),
        Fault::NotConnected { .. } => (
            "Vérifiez l’hôte, le port et le pare-feu : Relais se connecte directement, sans proxy.",
            "Check host, port and firewall: Relais connects directly, without a proxy.",
        ),
        Fault::ConnectTimeout { .. } => (
            "Ouvrez ce flux sortant dans le pare-feu : Relais se connecte directement, sans proxy.",
            "Open this outgoing connection in the firewall: Relais connects directly, without a proxy.",
        ),
        Fault::UntrustedCa { .. } => (
            "Donnez les racines de l’autorité du fournisseur dans `ca` de la section [providers.…], et cherchez s’il n’y a pas un proxy qui ouvre TLS.",
            "Give the roots of the provider's authority in `ca` of the section [providers.…], and look for a proxy that opens TLS.",
        ),
        Fault::WrongHostName { .. } => (
            "Appelez le fournisseur par le nom de son certificat, ou vérifiez où mène le DNS.",
            "Call the provider by the name in its certificate, or check where the DNS leads.",
        ),
        Fault::ServerCertificateOutOfDate { .. } => (
            "Vérifiez l’horloge de cette machine ; si elle est juste, prévenez le fournisseur.",
            "Check the clock of this machine; if it is right, tell the provider.",
        ),
        Fault::TlsFailed { .. } => (
            "Vérifiez qu’un serveur TLS 1.2 ou 1.3 répond à ce port.",
            "Check that a server with TLS 1.2 or 1.3 answers at this port.",
        ),
        Fault::ClientCertificateRefused { .. } => (
            "Demandez au fournisseur quelles autorités il accepte, et donnez dans le fichier du certificat aussi ses intermédiaires.",
            "Ask the provider which authorities it accepts, and put the intermediates into the certificate's file too.",
        ),
        Fault::ClientCertificateRequired { .. } => (
            "Donnez-lui un certificat dans `certificates` de la section [registrations.…].",
            "Give it one in `certificates` of the section [registrations.…].",
        ),
        Fault::NoAnswer { .. } => (
            "Réessayez ; si cela dure, demandez au fournisseur si son service fonctionne.",
            "Try again; if it lasts, ask the provider whether its service works.",
        ),
        Fault::UnexpectedStatus { .. } => (
            "Vérifiez `metadata_url` et les adresses qu’elle donne, puis demandez au fournisseur.",
            "Check `metadata_url` and the addresses that it gives, then ask the provider.",
        ),
        Fault::MetadataMalformed => (
            "Vérifiez que `metadata_url` mène au document .well-known du fournisseur.",
            "Check that `metadata_url` leads to the provider's .well-known document.",
        ),
        Fault::MetadataMember { .. } => (
            "Vérifiez que `metadata_url` mène au document qui décrit CIBA, ou demandez au fournisseur de l’activer.",
            "Check that `metadata_url` leads to the document that describes CIBA, or ask the provider to switch it on.",
        ),
        Fault::MetadataInsecure { .. } => {
            ("Demandez au fournisseur de corriger ses métadonnées.", "Ask the provider to mend its metadata.")
        }
        Fault::IssuerDiffers { .. } => (
            "Écrivez `issuer` exactement comme les métadonnées, à l’octet près, si c’est bien ce fournisseur.",
            "Write `issuer` exactly as the metadata do, byte for byte, if this is the right provider.",
        ),
        Fault::NoDate => (
            "Vérifiez vous-même que l’horloge de cette machine est réglée par NTP.",
            "Make sure yourself that the clock of this machine is set by NTP.",
        ),
        Fault::ClocksDiffer { .. } => (
            "Réglez l’horloge de cette machine par NTP ; si elle est juste, prévenez le fournisseur.",
            "Set the clock of this machine by NTP; if it is right, tell the provider.",
        ),
        Fault::DeliveryNotOffered { .. } => (
            "Écrivez dans `delivery` un mode que le fournisseur propose, ou demandez-lui d’ajouter celui-ci.",
            "Write in `delivery` a mode that the provider offers, or ask it to add this one.",
        ),
        Fault::NotOffered { .. } => (
            "Utilisez dans `auth`, `signing_alg` et `signed_requests` ce que le fournisseur annonce, ou demandez-lui d’annoncer cela.",
            "Use in `auth`, `signing_alg` and `signed_requests` what the provider names, or ask it to name this.",
        ),
        Fault::SigningKeyUnusable => (
            "Lancez `relais check`, qui dit pourquoi `signing_key` ou `published_keys` ne conviennent pas.",
            "Run `relais check`, which says why `signing_key` or `published_keys` do not do.",
        ),
        Fault::KeysMalformed | Fault::NoUsableKey => (
            "Demandez au fournisseur de corriger ses clés : sans elles aucun jeton ne peut être vérifié.",
            "Ask the provider to mend its keys: without them no token can be verified.",
        ),
        Fault::NoKeyFor { .. } | Fault::AlgsNotAdvertised { .. } => (
            "Demandez au fournisseur par quel algorithme il signe pour ce client, et écrivez-le dans `id_token_algs`.",
            "Ask the provider by which algorithm it signs for this client, and write it in `id_token_algs`.",
        ),
        Fault::CibaNotEnabled { .. } => (
            "Demandez au fournisseur d’activer CIBA pour ce client_id.",
            "Ask the provider to switch CIBA on for this client_id.",
        ),
        Fault::CredentialsRefused { .. } => (
            "Vérifiez `client_id`, `auth` et le secret ou le certificat, et demandez au fournisseur ce qui est enregistré chez lui.",
            "Check `client_id`, `auth`, and the secret or the certificate, and ask the provider what is registered there.",
        ),
        Fault::RefusedOtherwise { .. } => (
            "Vérifiez `scope` et `extra_parameters`, et demandez au fournisseur ce qu’il attend d’une demande CIBA.",
            "Check `scope` and `extra_parameters`, and ask the provider what it expects of a CIBA request.",
        ),
        Fault::AcceptedWithoutHint => (
            "Demandez au fournisseur qui serait appelé : la norme exige un identifiant.",
            "Ask the provider who would be rung: the standard requires a hint.",
        ),
    };
    pick(language, french, english)
}

#[cfg(test)]
mod tests;
