// A count for every value of one field; a press narrows the list to it.

import { useQuery } from '@tanstack/react-query';
import { fetchFacets, type Address } from '../api/http';
import { count } from '../model/format';
import type { Place } from '../model/place';
import type { Column, FoundView } from '../model/registry';
import type { Query, StatusValue } from '../model/schema';
import { ToneIcon } from '../ui/icon';
import { chosenValues, withValues } from './filters';

interface Props {
  found: FoundView;
  at: Address;
  query: Query;
  place: Place;
  setPlace: (place: Place) => void;
  columns: Column[];
}

const MOST = 6;

export function Summary({ found, at, query, place, setPlace, columns }: Props) {
  const name = found.view.summary!;
  const field = columns.find((one) => one.name === name)?.field;
  const asked: Query = { ...query, where: (query.where ?? []).filter((one) => one.field !== name) };
  const facets = useQuery({
    queryKey: ['rows', found.id, 'summary', name, asked],
    queryFn: () => fetchFacets(at, [name], asked),
    placeholderData: (before) => before,
  });
  if (!field) return null;
  const counts = new Map(facets.data?.[name]?.map((one) => [String(one.value), one.count]));
  const declared = Object.entries(field.values ?? {}).sort(([, a], [, b]) => (a.rank ?? 0) - (b.rank ?? 0));
  const values: [string, StatusValue][] = declared.length > 0 ? declared : [...counts.keys()].map((value) => [value, { title: value }]);
  const chosen = chosenValues(place.where, name);
  // Of many values only those that occur have a card.
  const shown = values.length <= MOST ? values : values.filter(([value]) => (counts.get(value) ?? 0) > 0 || chosen.includes(value));
  return (
    <div className="summary" role="group" aria-label={`${found.view.title} by ${field.title}`}>
      {shown.slice(0, MOST).map(([value, meaning]) => (
        <button
          type="button"
          key={value}
          className="summary-card"
          aria-pressed={chosen.includes(value)}
          onClick={() => setPlace({ ...place, where: withValues(place.where, name, chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value]) })}
        >
          <b>{facets.data ? count(counts.get(value) ?? 0) : '–'}</b>
          <span>
            <ToneIcon tone={meaning.tone ?? 'neutral'} icon={meaning.icon} size={14} />
            {meaning.title}
          </span>
        </button>
      ))}
    </div>
  );
}
