/** What precedes the site and the machine in a subject. */
const PREFIX = "cnctl";
/** What follows them. */
const SUFFIX = "process";

/** The subjects of all machines. */
export const ALL_SUBJECTS: string = `${PREFIX}.*.*.${SUFFIX}`;

/** The subjects of the machines of a site. */
export function siteSubjects(site: string): string {
  return `${PREFIX}.${tokenOf(site)}.*.${SUFFIX}`;
}

/** The subject that a machine publishes on: only there, and nobody else there. */
export function subjectOf(site: string, host: string): string {
  return `${PREFIX}.${tokenOf(site)}.${tokenOf(host)}.${SUFFIX}`;
}

/** The inbox of a machine, where the server answers. */
export function inboxOf(site: string, host: string): string {
  return `_INBOX.${tokenOf(site)}.${tokenOf(host)}`;
}

/** The machine of a subject: its name, with the site unless that is `default`; undefined for another subject. */
export function hostOf(subject: string): string | undefined {
  const [prefix, site, host, suffix, ...more] = subject.split(".");
  if (prefix !== PREFIX || suffix !== SUFFIX || more.length > 0) return undefined;
  const name = textOf(host!);
  return site === DEFAULT_SITE ? name : `${textOf(site!)}/${name}`;
}

/** The site of machines of which none is given. */
export const DEFAULT_SITE = "default";

/** A text as one token of a subject: what may not be in one, as a dot, becomes %2E. */
export function tokenOf(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[.!~*'()]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function textOf(token: string): string {
  try {
    return decodeURIComponent(token);
  } catch {
    return token; // not one of ours
  }
}
