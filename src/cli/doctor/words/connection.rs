//! The way to the provider: its name, its port, TLS with both certificates, and that an answer comes back.

use super::Words;

pub(super) fn url_not_acceptable(host: &str) -> Words {
    Words {
        what: [
            format!("L’URL des métadonnées à {host} ne peut pas être appelée."),
            format!("The URL of the metadata at {host} may not be called."),
        ],
        fix: [
            "Écrivez dans `metadata_url` une URL https, sans nom d’utilisateur ni fragment.",
            "Write in `metadata_url` an https URL without user name or fragment.",
        ],
    }
}

pub(super) fn name_not_resolved(host: &str) -> Words {
    Words {
        what: [
            format!("Le nom {host} ne peut pas être résolu."),
            format!("The name {host} cannot be resolved."),
        ],
        fix: [
            "Vérifiez l’orthographe de ce nom dans la configuration, et le DNS de cette machine.",
            "Check how the configuration spells this name, and the DNS of this machine.",
        ],
    }
}

pub(super) fn address_refused(host: &str) -> Words {
    Words {
        what: [
            format!("Le nom {host} mène à une adresse privée ou réservée."),
            format!("The name {host} leads to a private or reserved address."),
        ],
        fix: [
            "Si le fournisseur est bien sur un réseau privé, donnez ses racines dans `ca` ; sinon corrigez le DNS.",
            "If the provider does stand on a private network, give its roots in `ca`; otherwise mend the DNS.",
        ],
    }
}

pub(super) fn not_connected(host: &str) -> Words {
    Words {
        what: [
            format!("Personne n’accepte de connexion à {host}."),
            format!("Nobody accepts connections at {host}."),
        ],
        fix: [
            "Vérifiez l’hôte, le port et le pare-feu : Relais se connecte directement, sans proxy.",
            "Check host, port and firewall: Relais connects directly, without a proxy.",
        ],
    }
}

pub(super) fn connect_timeout(host: &str) -> Words {
    Words {
        what: [
            format!("{host} ne répond pas en cinq secondes."),
            format!("{host} does not answer within five seconds."),
        ],
        fix: [
            "Ouvrez ce flux sortant dans le pare-feu : Relais se connecte directement, sans proxy.",
            "Open this outgoing connection in the firewall: Relais connects directly, without a proxy.",
        ],
    }
}

pub(super) fn roots_unusable() -> Words {
    Words {
        what: [
            "Aucun client HTTPS ne peut être construit avec les racines de confiance.".to_owned(),
            "No HTTPS client can be made with the trusted roots.".to_owned(),
        ],
        fix: [
            "Vérifiez le fichier `ca` du fournisseur ou, sans lui, les racines du système (paquet ca-certificates).",
            "Check the provider's file `ca` or, without it, the system's roots (package ca-certificates).",
        ],
    }
}

pub(super) fn untrusted_ca(host: &str) -> Words {
    Words {
        what: [
            format!("Le certificat serveur de {host} ne vient d’aucune autorité reconnue ici."),
            format!("The server certificate of {host} comes from no authority that is trusted here."),
        ],
        fix: [
            "Donnez les racines de l’autorité du fournisseur dans `ca` de la section [providers.…], et cherchez s’il n’y a pas un proxy qui ouvre TLS.",
            "Give the roots of the provider's authority in `ca` of the section [providers.…], and look for a proxy that opens TLS.",
        ],
    }
}

pub(super) fn wrong_host_name(host: &str) -> Words {
    Words {
        what: [
            format!("Le certificat serveur de {host} est fait pour un autre nom."),
            format!("The server certificate of {host} is for another name."),
        ],
        fix: [
            "Appelez le fournisseur par le nom de son certificat, ou vérifiez où mène le DNS.",
            "Call the provider by the name in its certificate, or check where the DNS leads.",
        ],
    }
}

pub(super) fn server_certificate_out_of_date(host: &str) -> Words {
    Words {
        what: [
            format!("Le certificat serveur de {host} a expiré ou n’est pas encore valable."),
            format!("The server certificate of {host} is expired or not valid yet."),
        ],
        fix: [
            "Vérifiez l’horloge de cette machine ; si elle est juste, prévenez le fournisseur.",
            "Check the clock of this machine; if it is right, tell the provider.",
        ],
    }
}

pub(super) fn tls_failed(host: &str) -> Words {
    Words {
        what: [
            format!("La négociation TLS avec {host} a échoué."),
            format!("The TLS handshake with {host} failed."),
        ],
        fix: [
            "Vérifiez qu’un serveur TLS 1.2 ou 1.3 répond à ce port.",
            "Check that a server with TLS 1.2 or 1.3 answers at this port.",
        ],
    }
}

pub(super) fn client_certificate_refused(host: &str, alert: &str) -> Words {
    Words {
        what: [
            format!("{host} a refusé le certificat client pendant la négociation TLS (alerte {alert})."),
            format!("{host} refused the client certificate in the handshake (alert {alert})."),
        ],
        fix: [
            "Demandez au fournisseur quelles autorités il accepte, et donnez dans le fichier du certificat aussi ses intermédiaires.",
            "Ask the provider which authorities it accepts, and put the intermediates into the certificate's file too.",
        ],
    }
}

pub(super) fn client_certificate_required(host: &str) -> Words {
    Words {
        what: [
            format!("{host} exige un certificat client et l’enregistrement n’en a pas."),
            format!("{host} requires a client certificate and the registration has none."),
        ],
        fix: [
            "Donnez-lui un certificat dans `certificates` de la section [registrations.…].",
            "Give it one in `certificates` of the section [registrations.…].",
        ],
    }
}

pub(super) fn no_answer(host: &str) -> Words {
    Words {
        what: [
            format!("{host} n’a pas donné de réponse complète."),
            format!("{host} gave no complete answer."),
        ],
        fix: [
            "Réessayez ; si cela dure, demandez au fournisseur si son service fonctionne.",
            "Try again; if it lasts, ask the provider whether its service works.",
        ],
    }
}

pub(super) fn unexpected_status(host: &str, status: u16) -> Words {
    Words {
        what: [
            format!("{host} a répondu avec le statut {status}."),
            format!("{host} answered with the status {status}."),
        ],
        fix: [
            "Vérifiez `metadata_url` et les adresses qu’elle donne, puis demandez au fournisseur.",
            "Check `metadata_url` and the addresses that it gives, then ask the provider.",
        ],
    }
}
