// The params of a view as its page has them: read where they have to be, kept while they are the same.

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef } from 'react';
import { fetchColumns, problemOf } from '../api/http';
import { useConsole, type Around } from '../console';
import type { Place } from '../model/place';
import type { FoundView } from '../model/registry';
import type { JsonObject, Problem } from '../model/schema';
import { machineOf, resolve, step, valuesOf, type Param } from './resolve';

export interface Params {
  list: Param[];
  state: 'reading' | 'ready' | 'failed';
  problem: Problem | undefined;
  /** The first of which nothing is chosen, though the view needs it. */
  missing: Param | undefined;
  values: JsonObject;
  around: Around;
  choose: (name: string, value: string | undefined) => void;
  retry: () => void;
}

export function useParams(found: FoundView, place: Place, setPlace: (place: Place) => void): Params {
  const { registry } = useConsole();
  const text = JSON.stringify(place.params ?? {});
  const given = useMemo(() => JSON.parse(text) as Record<string, string>, [text]);
  const last = useRef<Param[]>(undefined);
  const stepped = last.current && step(last.current, given);
  const read = useQuery({
    queryKey: ['params', found.id, given],
    queryFn: () => resolve(registry, found, given, (list, query) => fetchColumns({ name: list.module, view: list.view.id }, query)),
    enabled: stepped === undefined,
    // What was newest when the page was opened stays chosen: nothing changes under the reader.
    staleTime: Infinity,
    gcTime: 0,
    placeholderData: keepPreviousData,
  });
  const list = stepped ?? read.data;
  const fresh = stepped !== undefined || !read.isPlaceholderData;
  useEffect(() => { if (list && fresh) last.current = list; }, [list, fresh]);
  const values = JSON.stringify(list ? valuesOf(list) : {});
  const machine = list && machineOf(registry, found, list);
  const around = useMemo<Around>(() => ({ params: JSON.parse(values) as JsonObject, machine }), [values, machine]);
  return {
    list: list ?? [],
    state: list ? 'ready' : read.error ? 'failed' : 'reading',
    problem: read.error ? problemOf(read.error) : undefined,
    missing: list?.find((one) => one.list && one.value === undefined),
    values: around.params,
    around,
    choose: (name, value) => {
      const others = Object.entries(place.params ?? {}).filter(([one]) => keeps(list ?? [], name, one));
      setPlace({ ...place, params: { ...Object.fromEntries(others), ...(value === undefined ? {} : { [name]: value }) } });
    },
    retry: () => void read.refetch(),
  };
}

/** A row that was chosen by its time belongs to what the other params were. */
function keeps(list: Param[], changed: string, other: string): boolean {
  const isMoment = (name: string) => list.find((one) => one.name === name)?.time !== undefined;
  return other !== changed && (isMoment(changed) || !isMoment(other));
}
