/** The mark: a gatehouse, the way into what one has charge of. */
export function Brand({ site }: { site?: string }) {
  return (
    <span className="brand">
      <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="9" className="brand-tile" />
        <path d="M9 24V13l7-5 7 5v11M13.2 24v-5.6a2.8 2.8 0 0 1 5.6 0V24" fill="none" stroke="#fff" strokeWidth="2.5" strokeLinejoin="round" strokeLinecap="round" />
      </svg>
      <span className="brand-name">Bailiwick</span>
      {site && <span className="brand-site">{site}</span>}
    </span>
  );
}
